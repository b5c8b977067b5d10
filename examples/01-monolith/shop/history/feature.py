"""What the shop means by history: the products that somebody ordered. No HTTP, no SQL."""
from dataclasses import dataclass

from shop.history import crud


@dataclass(frozen=True)
class Bought:
    """A product that was ordered, with its name and price of that day."""

    order_id: int
    status: str
    ordered_at: int   # seconds since 1970
    product_id: int
    name: str
    price_cents: int
    quantity: int
    still_sold: bool


async def history(db, account_id: int, before: int, limit: int) -> tuple[list[Bought], int | None]:
    """What the account bought with `limit` orders, newest first, and the order before which the next page starts."""
    rows = await crud.select_history(db, account_id, before, limit + 1)
    bought = [Bought(**{**row, "still_sold": bool(row["still_sold"])}) for row in rows]
    order_ids = list(dict.fromkeys(item.order_id for item in bought))
    kept = set(order_ids[:limit])
    return [item for item in bought if item.order_id in kept], order_ids[limit - 1] if len(order_ids) > limit else None


async def history_one_by_one(db, account_id: int, before: int, limit: int) -> tuple[list[Bought], int | None]:
    """The same as history, in 1 + N + N·M queries for N orders of M lines: what comes of a loop over functions that ask."""
    orders = await crud.select_orders(db, account_id, before, limit + 1)
    bought = []
    for order in orders[:limit]:
        for line in await crud.select_lines(db, order["id"]):
            still_sold = await crud.select_still_sold(db, line["product_id"]) is not None
            bought.append(Bought(order["id"], order["status"], order["ordered_at"], **line, still_sold=still_sold))
    return bought, orders[limit - 1]["id"] if len(orders) > limit else None
