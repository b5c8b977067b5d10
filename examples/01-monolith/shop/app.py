"""The only place where the parts of the shop meet."""
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from shop import seed
from shop.accounts.login_limit import LoginLimit
from shop.accounts.passwords import Passwords
from shop.catalog.cache import ProductCache
from shop.database import open_database
from shop.history import crud as history
from shop.middleware import Authentication, BodyParser, CrossSiteCheck, Problems, RequestId, SecurityHeaders, Sessions, SizeLimit
from shop.responses import not_routed
from shop.router import routes
from shop.settings import Settings


def create_app(settings: Settings) -> Starlette:
    """The shop, ready to be served. It opens its database when the server starts, not before."""
    app = Starlette(
        routes=routes,
        middleware=[                        # a request passes them from top to bottom, its response from bottom to top
            Middleware(RequestId),          # first, so that everything after it can name the request
            Middleware(SecurityHeaders),    # outside Problems: an error's response gets them too
            *compression(settings.compress),
            Middleware(Problems),
            Middleware(SizeLimit, most=settings.max_body_bytes),
            Middleware(CrossSiteCheck),     # cheap refusals before the body is read
            Middleware(BodyParser, timeout_s=settings.body_timeout_s),
            Middleware(Sessions),
            Middleware(Authentication),     # needs the session
        ],
        exception_handlers={HTTPException: not_routed},
        lifespan=lambda app: opened(settings),
    )
    app.router.redirect_slashes = False     # /products/ is not /products: 404 is plainer than a redirect
    return app


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[dict]:
    """What every request finds in its state while the server runs."""
    db = await open_database(settings.database, settings.database_connections, settings.synchronous)
    cache = ProductCache(settings.product_cache_s) if settings.product_cache_s else None
    passwords = Passwords()
    try:
        await seed.fill(db, settings.seed)
        if settings.history_index == "no":
            async with db.transaction() as tx:
                await history.drop_index(tx)
        limit = LoginLimit(settings.logins_per_account, settings.logins_per_address)
        yield {"settings": settings, "db": db, "passwords": passwords, "login_limit": limit,
               "product_cache": cache}
    finally:
        passwords.close()
        await db.close()


def compression(wanted: str) -> list[Middleware]:
    """The layer that compresses, or none: it costs time, and pays only where bandwidth is dear."""
    # It stands outside Problems: a long problem shrinks too.
    return [Middleware(GZipMiddleware, minimum_size=500)] if wanted == "yes" else []
