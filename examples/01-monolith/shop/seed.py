"""Something to sell: the data that a new database starts with. All of it is made up, by rule, the same each time."""
from dataclasses import dataclass

# The sellers and customers of the seed have no password that anybody could know: this is not a hash of anything.
NO_PASSWORD = "!"
SELLER = "shop@example.com"
SMALL = [("Teapot", 2_490), ("Teacup", 890), ("Saucer", 450), ("Milk jug", 1_290), ("Sugar bowl", 1_190),
         ("Tea strainer", 690), ("Egg cup", 390), ("Butter dish", 1_590), ("Cake stand", 3_490), ("Bread board", 1_990),
         ("Bread knife", 2_290), ("Wooden spoon", 490), ("Whisk", 790), ("Rolling pin", 1_390), ("Mixing bowl", 1_890),
         ("Sieve", 990), ("Grater", 1_090), ("Peeler", 590), ("Corkscrew", 1_290), ("Pepper mill", 2_190),
         ("Salt cellar", 890), ("Oil bottle", 1_490), ("Apron", 1_790), ("Oven glove", 1_190)]


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    products: int
    customers: int
    orders: int


SIZES = {"none": None, "small": Size(len(SMALL), 0, 0), "large": Size(100_000, 1_000, 200_000)}

# Numbers 0, 1, 2, … :count - 1 as a table, which both databases can make up on the way.
NUMBERS = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :count) "
CUSTOMERS = ("INSERT INTO account (email, password_hash, seller) " + NUMBERS +
             "SELECT 'customer-' || n || '@example.com', :no_password, FALSE FROM number")
PRODUCTS = ("INSERT INTO product (seller_id, name, price_cents, stock, version) " + NUMBERS +
            "SELECT :seller_id, 'Product ' || (n + 1), 100 + n * 7919 % 9900, 1000, 1 FROM number")
ORDERS = ("INSERT INTO orders (account_id, idempotency_key, fingerprint, status, ordered_at) " + NUMBERS +
          "SELECT :first_customer + n * 7919 % :customers, 'seed-' || n, 'seed', 'confirmed', 1700000000 + n * 60 "
          "FROM number")
LINES = ("INSERT INTO order_line (order_id, product_id, name, price_cents, quantity) "
         "SELECT o.id, p.id, p.name, p.price_cents, 1 + o.id % 3 "
         "FROM orders AS o JOIN product AS p ON p.id = :first_product + o.id * 104729 % :products "
         "WHERE o.fingerprint = 'seed'")


async def fill(db, name: str) -> bool:
    """Whether the database was filled now; one that has the seed's seller is left as it is. ValueError for an unknown size."""
    if name not in SIZES:
        raise ValueError(f"There is no seed {name!r}; there are: {', '.join(SIZES)}.")
    size = SIZES[name]
    if size is None:
        return False
    async with db.transaction() as tx:
        seller = await tx.one(
            "INSERT INTO account (email, password_hash, seller) VALUES (:email, :no_password, TRUE) "
            "ON CONFLICT (email) DO NOTHING RETURNING id", email=SELLER, no_password=NO_PASSWORD)
        if seller is None:
            return False
        await (fill_large(tx, seller["id"], size) if size.orders else fill_small(tx, seller["id"]))
        return True


async def fill_small(tx, seller_id: int) -> None:
    """Nothing is returned; there are two dozen things for a kitchen."""
    for name, price_cents in SMALL:
        await tx.one("INSERT INTO product (seller_id, name, price_cents, stock, version) "
                     "VALUES (:seller_id, :name, :price_cents, 100, 1)",
                     seller_id=seller_id, name=name, price_cents=price_cents)


async def fill_large(tx, seller_id: int, size: Size) -> None:
    """Nothing is returned; there are many products, customers, and orders of one line each."""
    await tx.one(CUSTOMERS, count=size.customers, no_password=NO_PASSWORD)
    await tx.one(PRODUCTS, count=size.products, seller_id=seller_id)
    first = await tx.one("SELECT (SELECT MIN(id) FROM account WHERE email LIKE 'customer-%') AS customer, "
                         "(SELECT MIN(id) FROM product WHERE seller_id = :seller_id) AS product", seller_id=seller_id)
    await tx.one(ORDERS, count=size.orders, first_customer=first["customer"], customers=size.customers)
    await tx.one(LINES, first_product=first["product"], products=size.products)
    await tx.one("ANALYZE")   # both databases plan by what they know of the tables, and these are new to them
