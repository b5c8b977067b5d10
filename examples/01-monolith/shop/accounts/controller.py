"""Accounts: HTTP in, feature, HTTP out."""
from starlette.requests import Request
from starlette.responses import Response

from shop import responses
from shop.accounts import feature
from shop.requests import account, boolean, parse, secret, text

EMAIL = text(3, 254, r"[a-zA-Z0-9._+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+", example="an e-mail address such as pat@example.com")
NEW_ACCOUNT = {"email": EMAIL, "password": secret(8, 128), "seller": boolean(default=False)}
LOGIN = {"email": EMAIL, "password": secret(1, 128)}
HOME = {"127.0.0.1", "localhost", "::1"}


async def sign_up(request: Request) -> Response:
    """POST /accounts"""
    wanted = parse(request.state.body, NEW_ACCOUNT)
    new = await feature.sign_up(request.state.db, request.state.passwords, **wanted)
    return responses.created(vars(new), "/account")


async def who_am_i(request: Request) -> Response:
    """GET /account"""
    return responses.ok(vars(account(request)))


async def log_in(request: Request) -> Response:
    """POST /session"""
    wanted = parse(request.state.body, LOGIN)
    state = request.state
    token, account_id = await feature.log_in(state.db, state.passwords, state.login_limit, address(request),
                                             former=state.session, settings=state.settings, **wanted)
    response = responses.created({"account_id": account_id}, "/account")
    response.set_cookie("session", token, max_age=state.settings.session_lifetime_s, httponly=True, samesite="lax",
                        secure=not is_home(request))
    return response


async def log_out(request: Request) -> Response:
    """DELETE /session"""
    if request.state.session:
        await feature.log_out(request.state.db, request.state.session)
    response = responses.no_content()
    response.delete_cookie("session", httponly=True, samesite="lax", secure=not is_home(request))
    return response


def address(request: Request) -> str:
    """Where the request came from."""
    return request.client.host if request.client else "unknown"


def is_home(request: Request) -> bool:
    """Whether this is plain HTTP on the reader's own machine, the one place where a cookie may travel uncovered."""
    return request.url.scheme == "http" and request.url.hostname in HOME
