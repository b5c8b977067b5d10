"""Results and errors become responses. Every error, wherever it was raised, leaves as problem+json (RFC 9457)."""
import json
import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from shop import errors

STATUS = {
    errors.InvalidInput: 400,
    errors.NotLoggedIn: 401,
    errors.Forbidden: 403,
    errors.CrossSite: 403,
    errors.NotFound: 404,
    errors.BodyTooSlow: 408,
    errors.Conflict: 409,
    errors.Changed: 412,
    errors.BodyTooLarge: 413,
    errors.WrongContentType: 415,
    errors.KeyReused: 422,
    errors.TooManyAttempts: 429,
    errors.Unavailable: 503,
}

log = logging.getLogger("shop")
to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def ok(content: object, headers: dict[str, str] | None = None) -> Response:
    """200 with the content as JSON."""
    return Response(to_json(content), headers=headers, media_type="application/json")


def created(content: object, location: str) -> Response:
    """201 with the new thing, and the place where it can be read again."""
    return Response(to_json(content), 201, {"Location": location}, "application/json")


def no_content() -> Response:
    """204: done, and there is nothing to say."""
    return Response(status_code=204)


def not_modified(headers: dict[str, str]) -> Response:
    """304: what the client has already is still true."""
    return Response(status_code=304, headers=headers)


def refused(error: errors.ShopError, scope: Scope) -> Response:
    """The problem+json that says what the shop refused and why."""
    members = dict(error.members)
    headers = {}
    if retry_after_s := members.pop("retry_after_s", None):
        headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, (errors.BodyTooLarge, errors.BodyTooSlow)):
        headers["Connection"] = "close"   # the rest of the body may still be on its way: read no further
    return problem(scope, STATUS[type(error)], error.detail, headers, kind=dashed(type(error).__name__), **members)


def failed(error: Exception, scope: Scope) -> Response:
    """500 for a mistake of ours: the log has the whole story, the client a number to ask about."""
    log.error("Request %s failed", scope["state"].get("request_id"), exc_info=error)
    return problem(scope, 500, "The shop made a mistake; it is in its log under this request_id.")


async def not_routed(request: Request, error: HTTPException) -> Response:
    """404 or 405: the router found no route, or none for this method."""
    if error.status_code == 404:
        return problem(request.scope, 404, f"There is nothing at {request.scope['path'][:200]!r}.")
    # Starlette's own list has the methods of the first route that fits the path; there may be more.
    fitting = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = ", ".join(sorted({method for route in fitting for method in route.methods}))
    return problem(request.scope, error.status_code, f"Possible here: {allowed}.", {"Allow": allowed})


def problem(scope: Scope, status: int, detail: str, headers: object = None, kind: str = "", **members: object) -> Response:
    """A response that says what went wrong, for people (detail) and for programs (type, status and the rest)."""
    title = HTTPStatus(status).phrase
    content = {"type": f"urn:shop:{kind or dashed(title)}", "title": title, "status": status, "detail": detail,
               "request_id": scope["state"].get("request_id"), **members}
    return Response(to_json(content), status, headers, "application/problem+json")


def dashed(words: str) -> str:
    """out-of-stock for OutOfStock, not-found for Not Found."""
    return "".join(f"-{c.lower()}" if c.isupper() else "" if c == " " else c for c in words).lstrip("-")
