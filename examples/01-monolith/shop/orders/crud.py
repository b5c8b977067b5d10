"""Orders and their lines: SQL and nothing else."""
from shop.database import Row

COLUMNS = "id, account_id, fingerprint, status, ordered_at"


async def insert_order(db, account_id: int, key: str, fingerprint: str, status: str, now: int) -> Row | None:
    """The new order; None if the account has used this key before."""
    return await db.one(
        "INSERT INTO orders (account_id, idempotency_key, fingerprint, status, ordered_at) "
        "VALUES (:account_id, :key, :fingerprint, :status, :now) "
        f"ON CONFLICT (idempotency_key, account_id) DO NOTHING RETURNING {COLUMNS}",
        account_id=account_id, key=key, fingerprint=fingerprint, status=status, now=now)


async def insert_line(db, order_id: int, product_id: int, name: str, price_cents: int, quantity: int) -> None:
    """Nothing is returned; the order has one line more."""
    await db.one(
        "INSERT INTO order_line (order_id, product_id, name, price_cents, quantity) "
        "VALUES (:order_id, :product_id, :name, :price_cents, :quantity)",
        order_id=order_id, product_id=product_id, name=name, price_cents=price_cents, quantity=quantity)


async def select_order(db, account_id: int, id: int) -> Row | None:
    """The account's order with this id; someone else's is not found."""
    return await db.one(f"SELECT {COLUMNS} FROM orders WHERE id = :id AND account_id = :account_id",
                        id=id, account_id=account_id)


async def select_order_by_key(db, account_id: int, key: str) -> Row | None:
    """The order that the account made with this Idempotency-Key."""
    return await db.one(
        f"SELECT {COLUMNS} FROM orders WHERE account_id = :account_id AND idempotency_key = :key",
        account_id=account_id, key=key)


async def select_lines(db, order_id: int) -> list[Row]:
    """The order's lines."""
    return await db.all(
        "SELECT product_id, name, price_cents, quantity FROM order_line WHERE order_id = :order_id ORDER BY product_id",
        order_id=order_id)


async def cancel_order(db, account_id: int, id: int) -> Row | None:
    """The cancelled order; None if it was not confirmed, so that only one of two who cancel at once gets it."""
    return await db.one(
        "UPDATE orders SET status = 'cancelled' WHERE id = :id AND account_id = :account_id AND status = 'confirmed' "
        f"RETURNING {COLUMNS}",
        id=id, account_id=account_id)
