"""What the shop means by a product: no HTTP, no SQL."""
from dataclasses import dataclass

from shop.accounts.feature import Account
from shop.catalog import crud
from shop.errors import Changed, Conflict, Forbidden, NotFound


@dataclass(frozen=True)
class Product:
    """Something to buy. Its version grows with every change, so that a change of something stale is noticed."""

    id: int
    name: str
    price_cents: int
    stock: int
    seller_id: int
    version: int


async def create_product(db, seller: Account, name: str, price_cents: int, stock: int) -> Product:
    """The new product."""
    async with db.transaction() as tx:
        return Product(**await crud.insert(tx, seller.id, name, price_cents, stock))


async def product(db, id: int) -> Product:
    """The product; NotFound if there is none."""
    row = await crud.select(db, id)
    if row is None:
        raise NotFound(f"There is no product {id}.")
    return Product(**row)


async def list_products(db, after: int, limit: int) -> tuple[list[Product], int | None]:
    """A page of products, and the id after which the next page starts; None on the last."""
    rows = await crud.select_page(db, after, limit + 1)   # one more than asked for tells whether more follow
    products = [Product(**row) for row in rows[:limit]]
    return products, products[-1].id if len(rows) > limit else None


async def update_product(db, seller: Account, id: int, version: int | None,
                         name: str, price_cents: int, stock: int) -> Product:
    """The changed product; Changed if its version is not the one that the seller had read."""
    async with db.transaction() as tx:
        await own_product(tx, seller, id, version)
        return Product(**await crud.update(tx, id, name, price_cents, stock))


async def delete_product(db, seller: Account, id: int, version: int | None) -> None:
    """Nothing is returned; the product is gone from the list."""
    async with db.transaction() as tx:
        await own_product(tx, seller, id, version)
        await crud.delete(tx, id)


async def own_product(tx, seller: Account, id: int, version: int | None) -> Product:
    """The product, if it is the seller's own and, where a version is given, still in that version."""
    current = await product(tx, id)
    if current.seller_id != seller.id:
        raise Forbidden(f"Product {id} is another seller's.")
    if version not in (None, current.version):
        raise Changed(f"Product {id} is in version {current.version} by now; read it again.",
                      field="If-Match", value=version)
    return current


async def take(tx, id: int, quantity: int) -> Product:
    """The product after so many were taken from stock; Conflict if there are not that many."""
    row = await crud.take_from_stock(tx, id, quantity)
    if row is None:
        left = (await product(tx, id)).stock
        raise Conflict(f"Product {id} has {left} left, not {quantity}.", field="quantity", value=quantity)
    return Product(**row)


async def put_back(tx, id: int, quantity: int) -> None:
    """Nothing is returned; so many are in stock again."""
    await crud.return_to_stock(tx, id, quantity)


async def list_products_by_offset(db, after: int, limit: int) -> tuple[list[Product], int | None]:
    """A page of products behind so many others, and how many are before the next page; None on the last."""
    rows = await crud.select_page_by_offset(db, after, limit + 1)
    return [Product(**row) for row in rows[:limit]], after + limit if len(rows) > limit else None
