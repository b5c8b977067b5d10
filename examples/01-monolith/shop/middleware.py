"""What every request passes on its way in, and every response on its way out. Their order stands in app.py.

Each class is a layer of the onion: it is given the next layer, and is itself an ASGI application.
What one layer finds out it leaves in scope["state"] for those behind it.
"""
import asyncio
import json
import random
import re

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop import errors, responses
from shop.accounts import feature as accounts

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
GOOD_REQUEST_ID = re.compile(r"[\w-]{8,64}", re.ASCII)


def header(scope: Scope, name: bytes) -> str:
    """The value of a request's header, or ''. All middleware asks here: with every request, so it has to be quick."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return ""


class RequestId:
    """Gives each request a number, or keeps the one it came with, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        came_with = header(scope, b"x-request-id")
        request_id = came_with if GOOD_REQUEST_ID.fullmatch(came_with) else f"{random.getrandbits(128):032x}"   # no secret
        scope["state"]["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id.encode("ascii")))
            await send(message)

        await self.app(scope, receive, send_with_id)


class SecurityHeaders:
    """Tells the browser what it must not do with the response."""

    HEADERS = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if b"cache-control" not in dict(headers):
                    # A private answer must not be found in a cache; what is public says so itself.
                    headers.append((b"cache-control", b"no-store"))
                headers.extend(self.HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Problems:
    """Turns whatever the layers behind it raise into a response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception as error:
            if started:
                raise   # half a response has left: all that can be done is to cut it off
            await answer(error, scope)(scope, receive, send)


def answer(error: Exception, scope: Scope) -> ASGIApp:
    """The response for an error."""
    if isinstance(error, errors.ShopError):
        return responses.refused(error, scope)
    if scope["state"]["db"].is_unavailable(error):
        return responses.refused(errors.Unavailable("The database does not answer; try again in a moment."), scope)
    return responses.failed(error, scope)


class SizeLimit:
    """Stops reading a body that is too large, whatever length it was announced with."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.check(announced_length(scope))
        size = 0

        async def receive_no_more() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            self.check(size)
            return message

        await self.app(scope, receive_no_more, send)

    def check(self, size: int) -> None:
        """Nothing is returned; BodyTooLarge is raised above the limit."""
        if size > self.most:
            raise errors.BodyTooLarge(f"A body may have {self.most:,} bytes here.", most=self.most)


def announced_length(scope: Scope) -> int:
    """How many bytes the headers say the body has; 0 where they say nothing."""
    digits = header(scope, b"content-length")
    if not digits:
        return 0
    if not re.fullmatch(r"[0-9]{1,18}", digits):
        raise errors.InvalidInput("Content-Length must be a number.", field="Content-Length", value=digits[:100])
    return int(digits)


class CrossSiteCheck:
    """Refuses what another site's page makes a browser send, with our user's cookie in its pocket."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and is_cross_site(scope):
            raise errors.CrossSite("This request was sent by a page of another site.")
        await self.app(scope, receive, send)


def is_cross_site(scope: Scope) -> bool:
    """Whether the browser says that another site's page is the sender. No page can forge these two headers."""
    if site := header(scope, b"sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = header(scope, b"origin")   # older browsers; a program that is no browser sends neither
    return origin not in ("", f"{scope['scheme']}://{header(scope, b'host')}")


class BodyParser:
    """Reads the body and leaves what its JSON means in scope["state"]["body"]; None where there is no body."""

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self.app = app
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"]["body"] = await self.body(scope, receive) if has_body(scope) else None
        await self.app(scope, receive, send)

    async def body(self, scope: Scope, receive: Receive) -> object:
        """The parsed body, once it has arrived as a whole."""
        kind = header(scope, b"content-type")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise errors.WrongContentType(f"Send the body as application/json, not as {kind[:100]!r}.",
                                          field="Content-Type", value=kind[:100])
        try:
            async with asyncio.timeout(self.timeout_s):
                return from_json(await whole_body(receive))
        except TimeoutError:
            raise errors.BodyTooSlow(f"The body did not arrive within {self.timeout_s:g} s.") from None


def has_body(scope: Scope) -> bool:
    """Whether a body was announced; one that comes with a GET means nothing, and nobody reads it."""
    if scope["method"] in SAFE_METHODS:
        return False
    return announced_length(scope) > 0 or header(scope, b"transfer-encoding") != ""


async def whole_body(receive: Receive) -> bytes:
    """The body's pieces put together."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.InvalidInput("The client left before the body was complete.")
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def from_json(body: bytes) -> object:
    """What the bytes mean as JSON; InvalidInput says where they stop making sense."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=not_in_json)
    except UnicodeDecodeError as error:
        raise errors.InvalidInput(f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    except json.JSONDecodeError as error:
        raise errors.InvalidInput(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError:
        raise errors.InvalidInput("The body holds a number that is too long to read.") from None
    except RecursionError:
        raise errors.InvalidInput("The body's brackets are nested too deeply.") from None


def not_in_json(constant: str) -> None:
    """Nothing is returned: NaN and Infinity are Python's idea, JSON has no such numbers."""
    raise errors.InvalidInput(f"The body is not JSON: {constant} is no number.", value=constant)


class Sessions:
    """Looks up the visit that the cookie belongs to and leaves it in scope["state"]["session"], or None."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            token = cookie_parser(header(scope, b"cookie")).get("session")
            scope["state"]["session"] = await find_session(scope, token) if token else None
        await self.app(scope, receive, send)


async def find_session(scope: Scope, token: str) -> accounts.Session | None:
    """The session of the token, if it is still good."""
    state = scope["state"]
    return await accounts.find_session(state["db"], token, state["settings"])


class Authentication:
    """Finds out who sent the request and leaves the account in scope["state"]["account"], or None.

    Whether somebody must be logged in is not decided here: each controller knows what it needs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            state = scope["state"]
            session = state["session"]
            state["account"] = await accounts.find_account(state["db"], session.account_id) if session else None
        await self.app(scope, receive, send)
