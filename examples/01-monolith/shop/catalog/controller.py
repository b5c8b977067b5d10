"""Products: HTTP in, feature, HTTP out."""
import re

from starlette.requests import Request
from starlette.responses import Response

from shop import responses
from shop.catalog import feature
from shop.catalog.feature import Product
from shop.requests import forget_products, integer, page, parse, seller, text

PRODUCT = {"name": text(1, 200), "price_cents": integer(0, 100_000_000), "stock": integer(0, 1_000_000)}


async def create_product(request: Request) -> Response:
    """POST /products"""
    who = seller(request)
    new = await feature.create_product(request.state.db, who, **parse(request.state.body, PRODUCT))
    return responses.created(vars(new), f"/products/{new.id}")


async def read_product(request: Request) -> Response:
    """GET /products/{id}"""
    find = request.state.product_cache.product if request.state.product_cache else feature.product
    product = await find(request.state.db, request.path_params["id"])
    # The same for everyone, so caches may keep it; no-cache: but ask each time whether it is still this version.
    headers = {"ETag": tag(product), "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag(product):
        return responses.not_modified(headers)
    return responses.ok(vars(product), headers)


async def list_products(request: Request) -> Response:
    """GET /products"""
    after, limit = page(request, "after")
    pages = feature.list_products if request.state.settings.paging == "key" else feature.list_products_by_offset
    products, last = await pages(request.state.db, after, limit)
    following = last and f"/products?after={last}&limit={limit}"
    return responses.ok({"items": [vars(product) for product in products], "next": following})


async def update_product(request: Request) -> Response:
    """PUT /products/{id}"""
    who = seller(request)
    product = await feature.update_product(request.state.db, who, request.path_params["id"], wanted_version(request),
                                           **parse(request.state.body, PRODUCT))
    forget_products(request, product.id)
    return responses.ok(vars(product), {"ETag": tag(product)})


async def delete_product(request: Request) -> Response:
    """DELETE /products/{id}"""
    who = seller(request)
    await feature.delete_product(request.state.db, who, request.path_params["id"], wanted_version(request))
    forget_products(request, request.path_params["id"])
    return responses.no_content()


def tag(product: Product) -> str:
    """The product's version as HTTP writes it."""
    return f'"{product.version}"'


def wanted_version(request: Request) -> int | None:
    """The version that If-Match insists on; None if the client does not mind."""
    value = request.headers.get("if-match", "*")
    if value == "*":
        return None
    match = re.fullmatch(r'"([0-9]{1,18})"', value)
    return int(match[1]) if match else 0   # a tag that we never sent: no product is in version 0
