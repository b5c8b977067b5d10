"""The only place where the parts of the shop meet."""
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from shop import seed
from shop.accounts.login_limit import LoginLimit
from shop.accounts.passwords import Passwords
from shop.database import open_database
from shop.middleware import (Authentication, BodyParser, CrossSiteCheck, Problems, RequestId, SecurityHeaders, Sessions,
                             SizeLimit)
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
    db = await open_database(settings.database, settings.database_connections)
    passwords = Passwords()
    try:
        await seed.fill(db, settings.seed)
        limit = LoginLimit(settings.logins_per_account, settings.logins_per_address)
        yield {"settings": settings, "db": db, "passwords": passwords, "login_limit": limit}
    finally:
        passwords.close()
        await db.close()
