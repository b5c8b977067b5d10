"""Products: SQL and nothing else."""
from shop.database import Row

COLUMNS = "id, name, price_cents, stock, seller_id, version"


async def insert(db, seller_id: int, name: str, price_cents: int, stock: int) -> Row:
    """The new product."""
    return await db.one(
        "INSERT INTO product (seller_id, name, price_cents, stock, version) "
        f"VALUES (:seller_id, :name, :price_cents, :stock, 1) RETURNING {COLUMNS}",
        seller_id=seller_id, name=name, price_cents=price_cents, stock=stock)


async def select(db, id: int) -> Row | None:
    """The product with this id."""
    return await db.one(f"SELECT {COLUMNS} FROM product WHERE id = :id", id=id)


async def select_page(db, after: int, limit: int) -> list[Row]:
    """The products that follow an id. By key, not by OFFSET: the last page costs as little as the first."""
    return await db.all(f"SELECT {COLUMNS} FROM product WHERE id > :after ORDER BY id LIMIT :limit",
                        after=after, limit=limit)


async def update(db, id: int, name: str, price_cents: int, stock: int) -> Row:
    """The product with its new values."""
    return await db.one(
        "UPDATE product SET name = :name, price_cents = :price_cents, stock = :stock, version = version + 1 "
        f"WHERE id = :id RETURNING {COLUMNS}",
        id=id, name=name, price_cents=price_cents, stock=stock)


async def delete(db, id: int) -> None:
    """Nothing is returned; there is no such product any more."""
    await db.one("DELETE FROM product WHERE id = :id", id=id)


async def take_from_stock(db, id: int, quantity: int) -> Row | None:
    """The product after the purchase; None if it has not that many. One statement: nobody gets in between."""
    return await db.one(
        "UPDATE product SET stock = stock - :quantity, version = version + 1 "
        f"WHERE id = :id AND stock >= :quantity RETURNING {COLUMNS}",
        id=id, quantity=quantity)


async def return_to_stock(db, id: int, quantity: int) -> None:
    """Nothing is returned; the stock has grown, unless the product was deleted."""
    await db.one("UPDATE product SET stock = stock + :quantity, version = version + 1 WHERE id = :id",
                 id=id, quantity=quantity)


async def select_page_by_offset(db, skip: int, limit: int) -> list[Row]:
    """The products that follow so many others. The database has to walk past all of these."""
    return await db.all(f"SELECT {COLUMNS} FROM product ORDER BY id LIMIT :limit OFFSET :skip", skip=skip, limit=limit)
