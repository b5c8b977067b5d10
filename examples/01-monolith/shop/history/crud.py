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
