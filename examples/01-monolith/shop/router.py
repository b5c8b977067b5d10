"""Every URL of the shop on one page: the first route that fits path and method wins."""
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route

from shop import operators
from shop.accounts import controller as accounts
from shop.catalog import controller as catalog
from shop.history import controller as history
from shop.orders import controller as orders


class IdConvertor(Convertor[int]):
    """A number that both databases can hold; /products/0 and 5,000 digits are not found by any route."""

    regex = "[1-9][0-9]{0,17}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", IdConvertor())

routes = [
    Route("/products", catalog.list_products, methods=["GET"]),
    Route("/products", catalog.create_product, methods=["POST"]),
    Route("/products/{id:id}", catalog.read_product, methods=["GET"]),
    Route("/products/{id:id}", catalog.update_product, methods=["PUT"]),
    Route("/products/{id:id}", catalog.delete_product, methods=["DELETE"]),

    Route("/orders", orders.place_order, methods=["POST"]),
    Route("/orders/{id:id}", orders.read_order, methods=["GET"]),
    Route("/orders/{id:id}", orders.cancel_order, methods=["DELETE"]),

    Route("/history", history.read_history, methods=["GET"]),

    Route("/accounts", accounts.sign_up, methods=["POST"]),
    Route("/account", accounts.who_am_i, methods=["GET"]),
    Route("/session", accounts.log_in, methods=["POST"]),
    Route("/session", accounts.log_out, methods=["DELETE"]),

    Route("/livez", operators.livez, methods=["GET"]),
    Route("/readyz", operators.readyz, methods=["GET"]),
    Route("/openapi.yaml", operators.openapi, methods=["GET"]),
]
