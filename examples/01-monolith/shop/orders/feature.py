"""What the shop means by an order: no HTTP, no SQL."""
import hashlib
import json
import time
from dataclasses import dataclass

from shop.catalog import feature as catalog
from shop.errors import KeyReused, NotFound
from shop.orders import crud


@dataclass(frozen=True)
class Line:
    """So many of one product, with its name and price as bought."""

    product_id: int
    name: str
    price_cents: int
    quantity: int


@dataclass(frozen=True)
class Order:
    """What somebody bought: confirmed, or cancelled."""

    id: int
    status: str
    ordered_at: int   # seconds since 1970
    lines: tuple[Line, ...]

    @property
    def total_cents(self) -> int:
        """What the whole order costs."""
        return sum(line.price_cents * line.quantity for line in self.lines)


async def place_order(db, account_id: int, key: str, wanted: dict[int, int]) -> Order:
    """The order of so many ({product id: quantity}); with a key used before it is the order that was made then."""
    async with db.transaction() as tx:
        row = await crud.insert_order(tx, account_id, key, fingerprint(wanted), "confirmed", int(time.time()))
        if row is None:
            return await same_order(tx, account_id, key, wanted)
        # Whoever takes several things takes them in the same order as everyone else, or two wait for each other.
        for product_id in sorted(wanted):
            product = await catalog.take(tx, product_id, wanted[product_id])
            await crud.insert_line(tx, row["id"], product.id, product.name, product.price_cents, wanted[product_id])
        return await with_lines(tx, row)


async def same_order(tx, account_id: int, key: str, wanted: dict[int, int]) -> Order:
    """The order that was made with this key; KeyReused if it was another one."""
    row = await crud.select_order_by_key(tx, account_id, key)
    if row["fingerprint"] != fingerprint(wanted):
        raise KeyReused("This Idempotency-Key was used for another order; take a new one.", field="Idempotency-Key", value=key)
    return await with_lines(tx, row)


async def order(db, account_id: int, id: int) -> Order:
    """The account's order; NotFound if there is none, or if it is someone else's."""
    row = await crud.select_order(db, account_id, id)
    if row is None:
        raise NotFound(f"There is no order {id} of yours.")
    return await with_lines(db, row)


async def cancel_order(db, account_id: int, id: int) -> Order:
    """The cancelled order. Cancelling twice is the same as once: what was bought goes back to stock one time."""
    async with db.transaction() as tx:
        row = await crud.cancel_order(tx, account_id, id)
        if row is None:
            return await order(tx, account_id, id)
        cancelled = await with_lines(tx, row)
        for line in cancelled.lines:
            await catalog.put_back(tx, line.product_id, line.quantity)
        return cancelled


async def with_lines(db, row) -> Order:
    """The row and its lines as an order."""
    lines = tuple(Line(**line) for line in await crud.select_lines(db, row["id"]))
    return Order(row["id"], row["status"], row["ordered_at"], lines)


def fingerprint(wanted: dict[int, int]) -> str:
    """The same text for the same order, whatever the order of its lines."""
    return hashlib.sha256(json.dumps(sorted(wanted.items())).encode()).hexdigest()
