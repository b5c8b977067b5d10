"""History: HTTP in, feature, HTTP out."""
from starlette.requests import Request
from starlette.responses import Response

from shop import responses
from shop.history import feature
from shop.orders.controller import iso
from shop.requests import LARGEST_ID, account, page


async def read_history(request: Request) -> Response:
    """GET /history"""
    before, limit = page(request, "before")
    find = feature.history if request.state.settings.history_queries == "one" else feature.history_one_by_one
    bought, last = await find(request.state.db, account(request).id, before or LARGEST_ID, limit)
    items = [{**vars(item), "ordered_at": iso(item.ordered_at)} for item in bought]
    return responses.ok({"items": items, "next": last and f"/history?before={last}&limit={limit}"})
