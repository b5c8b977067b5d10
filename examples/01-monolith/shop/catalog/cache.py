"""Products that were read a moment ago, kept in this process. Off unless SHOP_PRODUCT_CACHE_S says for how long."""
import time

from shop.catalog import feature
from shop.catalog.feature import Product

MOST = 10_000   # products; a cache without a bound is a leak


class ProductCache:
    """Answers for some seconds without the database. Another replica's change is seen only when they are over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.kept: dict[int, tuple[float, Product]] = {}   # by id: when it was read, and what; the oldest first
        self.changes = 0

    async def product(self, db, id: int) -> Product:
        """The product, as it was so many seconds ago at most; NotFound if there is none."""
        read_at, product = self.kept.get(id, (0.0, None))
        if product and time.monotonic() - read_at < self.seconds:
            return product
        changes = self.changes
        product = await feature.product(db, id)
        if changes == self.changes:   # else somebody may have changed it while we read: what we hold is perhaps the old one
            self.keep(product)
        return product

    def keep(self, product: Product) -> None:
        """Nothing is returned; the product is the youngest."""
        self.kept.pop(product.id, None)
        if len(self.kept) >= MOST:
            del self.kept[next(iter(self.kept))]
        self.kept[product.id] = time.monotonic(), product

    def forget(self, *ids: int) -> None:
        """Nothing is returned; these were changed, and are read anew. Call it after the commit: before, the old is still read."""
        self.changes += 1
        for id in ids:
            self.kept.pop(id, None)
