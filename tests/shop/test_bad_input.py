"""Whatever reaches the shop gets problem+json with the right status: never a 500, never a hang, nothing half-written."""
import json

import pytest

PRODUCT = {"name": "Teapot", "price_cents": 2490, "stock": 10}
AS_JSON = {"Content-Type": "application/json"}

BROKEN_BODIES = {
    "broken JSON": b'{"name": "Teapot"',
    "no JSON at all": b"name=Teapot",
    "not UTF-8": b'{"name": "\xff"}',
    "a number of 5,000 digits": b'{"name": "Teapot", "stock": ' + b"9" * 5_000 + b', "price_cents": 1}',
    "not a number": b'{"name": "Teapot", "stock": NaN, "price_cents": 1}',
    "brackets without end": b"[" * 60_000,
    "empty": b" ",
}

WRONG_FIELDS = {
    "a list": [],
    "null": None,
    "a missing field": {"name": "Teapot", "stock": 1},
    "an unknown field": {**PRODUCT, "colour": "blue"},
    "text for a number": {**PRODUCT, "stock": "10"},
    "true for a number": {**PRODUCT, "stock": True},
    "half a teapot": {**PRODUCT, "stock": 0.5},
    "ten to the thirty": {**PRODUCT, "stock": 10**30},
    "less than nothing": {**PRODUCT, "price_cents": -1},
    "no name": {**PRODUCT, "name": ""},
    "a very long name": {**PRODUCT, "name": "x" * 201},
    "half a character": {**PRODUCT, "name": "\ud800"},
    "a zero byte": {**PRODUCT, "name": "Tea\0pot"},
    "a list for a name": {**PRODUCT, "name": ["Teapot"]},
}


def is_problem(response, status):
    """Whether the response is the one error format that the shop has, with everything in it."""
    problem = response.json()
    return (response.status_code == problem["status"] == status
            and response.headers["Content-Type"] == "application/problem+json"
            and problem["detail"] and problem["request_id"] == response.headers["X-Request-Id"])


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_body_that_cannot_be_read_is_400(sam, body):
    response = sam.post("/products", data=body, headers=AS_JSON)

    assert is_problem(response, 400)


@pytest.mark.parametrize("body", WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_a_field_that_cannot_be_used_is_400_and_named(sam, body):
    response = sam.post("/products", data=json.dumps(body), headers=AS_JSON)

    assert is_problem(response, 400)
    assert "field" in response.json()


def test_the_offending_value_is_shown(sam):
    response = sam.post("/products", json={**PRODUCT, "stock": -3})

    assert response.json()["field"] == "stock"
    assert response.json()["value"] == "-3"
    assert response.json()["detail"] == "stock must be a whole number from 0 to 1,000,000, not '-3'."


def test_a_password_is_never_shown(visitor):
    response = visitor.post("/accounts", json={"email": "pat@example.com", "password": "short"})

    assert is_problem(response, 400)
    assert "short" not in response.text


def test_a_field_deep_in_the_body_is_named_by_its_place(pat):
    lines = [{"product_id": 1, "quantity": 1}, {"product_id": 2, "quantity": 0}]

    response = pat.post("/orders", json={"lines": lines}, headers={"Idempotency-Key": "deep"})

    assert response.json()["field"] == "lines[1].quantity"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_that_is_not_declared_as_json_is_415(sam, kind):
    response = sam.post("/products", data=json.dumps(PRODUCT), headers={"Content-Type": kind})

    assert is_problem(response, 415)


def test_a_missing_body_is_400(sam):
    assert is_problem(sam.post("/products"), 400)


def test_a_body_that_says_it_is_too_large_is_413(sam):
    response = sam.post("/products", data=b"x" * 70_000, headers=AS_JSON)

    assert is_problem(response, 413)
    assert response.headers["Connection"] == "close"


def test_a_body_that_grows_too_large_without_saying_so_is_413(sam):
    pieces = (b" " * 10_000 for _ in range(10))

    response = sam.post("/products", data=pieces, headers=AS_JSON)

    assert is_problem(response, 413)


@pytest.mark.parametrize("path", ["/", "/nothing", "/products/", "/products/0", "/products/-1", "/products/x",
                                  "/products/" + "9" * 5_000, "/orders/1/2", "/products/%00", "/%ff%fe"])
def test_an_unknown_route_is_404(visitor, path):
    assert is_problem(visitor.get(path), 404)


@pytest.mark.parametrize("method, path", [("DELETE", "/products"), ("PATCH", "/products/1"), ("POST", "/history"),
                                          ("OPTIONS", "/products")])
def test_a_wrong_method_is_405_and_says_what_is_possible(visitor, method, path):
    response = visitor.request(method, path)

    assert is_problem(response, 405)
    assert "GET" in response.headers["Allow"] or response.headers["Allow"]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "limit=101", "limit=1e1", "after=" + "9" * 5_000,
                                   "after=%ff", "limit=%D9%A1"])
def test_a_page_that_cannot_be_is_400(visitor, query):
    assert is_problem(visitor.get(f"/products?{query}"), 400)


@pytest.mark.parametrize("method, path", [("GET", "/account"), ("GET", "/history"), ("GET", "/orders/1"),
                                          ("DELETE", "/orders/1"), ("POST", "/orders"), ("POST", "/products")])
def test_without_a_login_it_is_401(visitor, method, path):
    assert is_problem(visitor.request(method, path), 401)


def test_an_if_match_that_we_never_sent_is_412(sam, teapot):
    response = sam.delete(f"/products/{teapot['id']}", headers={"If-Match": "three"})

    assert is_problem(response, 412)


def test_a_page_of_another_site_cannot_send_what_changes_something(pat):
    for headers in [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}]:
        assert is_problem(pat.delete("/session", headers=headers), 403)

    assert pat.get("/account", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200   # reading is no change
    assert pat.delete("/session", headers={"Origin": pat.server.url}).status_code == 204


def test_every_answer_carries_the_security_headers(visitor):
    for path in ["/products/1", "/nothing", "/account"]:
        headers = visitor.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_private_answer_is_not_stored_by_caches(pat):
    assert pat.get("/account").headers["Cache-Control"] == "no-store"
    assert pat.get("/products/1").headers["Cache-Control"] == "no-cache"


def test_a_request_keeps_the_id_it_came_with(visitor):
    assert visitor.get("/livez", headers={"X-Request-Id": "lecture-0001"}).headers["X-Request-Id"] == "lecture-0001"
    assert visitor.get("/livez", headers={"X-Request-Id": "<script>"}).headers["X-Request-Id"] != "<script>"
