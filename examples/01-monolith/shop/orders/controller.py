"""Orders: HTTP in, feature, HTTP out."""
from collections import Counter
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from shop import responses
from shop.orders import feature
from shop.orders.feature import Order
from shop.requests import LARGEST_ID, MISSING, account, forget_products, integer, parse, several, text

LINE = {"product_id": integer(1, LARGEST_ID), "quantity": integer(1, 1_000)}
NEW_ORDER = {"lines": several(1, 20, LINE)}
KEY = text(1, 100, r"[!-~]+", example="1 to 100 visible ASCII characters, new for each order")


async def place_order(request: Request) -> Response:
    """POST /orders"""
    who = account(request)
    key = KEY("Idempotency-Key", request.headers.get("idempotency-key", MISSING))
    wanted = by_product(parse(request.state.body, NEW_ORDER)["lines"])
    order = await feature.place_order(request.state.db, who.id, key, wanted)
    forget_products(request, *wanted)
    return responses.created(as_json(order), f"/orders/{order.id}")


async def read_order(request: Request) -> Response:
    """GET /orders/{id}"""
    order = await feature.order(request.state.db, account(request).id, request.path_params["id"])
    return responses.ok(as_json(order))


async def cancel_order(request: Request) -> Response:
    """DELETE /orders/{id}"""
    order = await feature.cancel_order(request.state.db, account(request).id, request.path_params["id"])
    forget_products(request, *(line.product_id for line in order.lines))
    return responses.ok(as_json(order))


def by_product(lines: list[dict]) -> dict[int, int]:
    """The quantity of each product; two lines of one product add up."""
    wanted = Counter()
    for line in lines:
        wanted[line["product_id"]] += line["quantity"]
    return dict(wanted)


def as_json(order: Order) -> dict:
    """The order as clients see it."""
    return {"id": order.id, "status": order.status, "lines": [vars(line) for line in order.lines],
            "total_cents": order.total_cents, "ordered_at": iso(order.ordered_at)}


def iso(seconds: int) -> str:
    """The time as in 2026-11-22T21:02:35Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
