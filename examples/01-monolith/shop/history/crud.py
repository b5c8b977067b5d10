"""What was ordered: one join over tables of three features. In a monolith that is all there is to it."""
from shop.database import Row


async def select_history(db, account_id: int, before: int, limit: int) -> list[Row]:
    """The lines of the account's latest orders, newest order first."""
    return await db.all(
        "SELECT o.id AS order_id, o.status, o.ordered_at, l.product_id, l.name, l.price_cents, l.quantity, "
        "       p.id IS NOT NULL AS still_sold "
        "FROM (SELECT id, status, ordered_at FROM orders WHERE account_id = :account_id AND id < :before "
        "      ORDER BY id DESC LIMIT :limit) AS o "
        "JOIN order_line AS l ON l.order_id = o.id "
        "LEFT JOIN product AS p ON p.id = l.product_id "
        "ORDER BY o.id DESC, l.product_id",
        account_id=account_id, before=before, limit=limit)


async def select_orders(db, account_id: int, before: int, limit: int) -> list[Row]:
    """The account's latest orders, newest first."""
    return await db.all("SELECT id, status, ordered_at FROM orders WHERE account_id = :account_id AND id < :before "
                        "ORDER BY id DESC LIMIT :limit", account_id=account_id, before=before, limit=limit)


async def select_lines(db, order_id: int) -> list[Row]:
    """The lines of one order."""
    return await db.all("SELECT product_id, name, price_cents, quantity FROM order_line WHERE order_id = :order_id "
                        "ORDER BY product_id", order_id=order_id)


async def select_still_sold(db, product_id: int) -> Row | None:
    """A row if the product is still sold."""
    return await db.one("SELECT id FROM product WHERE id = :product_id", product_id=product_id)


async def drop_index(db) -> None:
    """Nothing is returned; an account's orders are found by looking at all orders, until the shop starts with the index."""
    await db.all("DROP INDEX IF EXISTS orders_account")
