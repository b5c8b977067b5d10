"""For whoever runs the shop: is it alive, can it work, what does it offer?"""
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from shop import responses

OPENAPI = Path(__file__).with_name("openapi.yaml").read_bytes()


async def livez(request: Request) -> Response:
    """GET /livez: this process answers. If it does not, start it anew."""
    return responses.ok({"status": "alive"})


async def readyz(request: Request) -> Response:
    """GET /readyz: the database answers too. If it does not, send requests elsewhere for a while."""
    await request.state.db.one("SELECT 1 AS answer")
    return responses.ok({"status": "ready"})


async def openapi(request: Request) -> Response:
    """GET /openapi.yaml: the whole API, for programs."""
    return Response(OPENAPI, media_type="application/yaml")
