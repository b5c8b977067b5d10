"""openapi.yaml is true: the shop gives no answer that it does not allow, and none in the 500s."""
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings

schemathesis = pytest.importorskip("schemathesis", reason="Schemathesis is in the dependency group api.")

TRIES = 25   # requests for each operation; the coverage phase adds every boundary of every field
OPENAPI = Path(__file__).parents[2] / "examples" / "01-monolith" / "shop" / "openapi.yaml"

API = yaml.safe_load(OPENAPI.read_text("utf-8"))

# Every request here carries a seller's cookie, so the description is read without its security;
# that a login is needed is checked in test_bad_input.py.
PUBLIC = {path: {method: {**operation, "security": []} for method, operation in operations.items()}
          for path, operations in API["paths"].items()}
schema = schemathesis.openapi.from_dict({**API, "paths": PUBLIC})
# What can be read may still be refused as things stand: 409, 412, 422 are answers to valid requests too.
schema.config.checks.positive_data_acceptance.expected_statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "422"]


@schema.parametrize()
@settings(max_examples=TRIES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_description_allows(case, shop, seller_cookie):
    case.call_and_validate(base_url=shop.url, cookies={"session": seller_cookie}, timeout=10)


@pytest.fixture
def seller_cookie(sam):
    """The token of a seller who is logged in."""
    return sam.session.cookies["session"]


def test_the_description_is_served_as_it_stands(visitor):
    assert visitor.get("/openapi.yaml").content == OPENAPI.read_bytes()


def test_every_route_is_described_and_nothing_else():
    from shop.router import routes
    offered = {(method, route.path.replace(":id", "")) for route in routes for method in route.methods - {"HEAD"}}

    assert offered == {(method.upper(), path) for path, methods in API["paths"].items() for method in methods}
