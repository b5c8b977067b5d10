"""List, create, read, update, delete."""


def test_a_created_product_can_be_read_where_location_says(sam, visitor):
    created = sam.post("/products", json={"name": "Whisk ✓", "price_cents": 790, "stock": 3})

    response = visitor.get(created.headers["Location"])

    assert created.status_code == 201
    assert response.json() == created.json()
    assert response.json()["name"] == "Whisk ✓"


def test_unknown_product_is_404_and_says_which(visitor):
    response = visitor.get("/products/999999999")

    assert response.status_code == 404
    assert response.json()["detail"] == "There is no product 999999999."


def test_pages_lead_through_all_products_once(visitor):
    url, seen = "/products?limit=7", []

    while url:
        page = visitor.get(url).json()
        seen += [product["id"] for product in page["items"]]
        url = page["next"]

    assert len(seen) >= 24
    assert seen == sorted(set(seen))


def test_an_update_gives_the_product_a_new_version(sam, teapot):
    response = sam.put(f"/products/{teapot['id']}", json={"name": "Big teapot", "price_cents": 1, "stock": 2})

    assert response.status_code == 200
    assert response.json() == {**teapot, "name": "Big teapot", "price_cents": 1, "stock": 2, "version": 2}
    assert response.headers["ETag"] == '"2"'


def test_an_update_of_something_stale_is_412(sam, teapot):
    new = {"name": "Teapot", "price_cents": 1, "stock": 1}
    sam.put(f"/products/{teapot['id']}", json=new, headers={"If-Match": '"1"'})

    response = sam.put(f"/products/{teapot['id']}", json=new, headers={"If-Match": '"1"'})

    assert response.status_code == 412
    assert "version 2" in response.json()["detail"]


def test_a_product_that_did_not_change_is_not_sent_again(visitor, teapot):
    tag = visitor.get(f"/products/{teapot['id']}").headers["ETag"]

    response = visitor.get(f"/products/{teapot['id']}", headers={"If-None-Match": tag})

    assert response.status_code == 304
    assert response.content == b""


def test_a_purchase_changes_the_tag(pat, teapot):
    pat.settled(pat.buy(teapot["id"]))

    response = pat.get(f"/products/{teapot['id']}", headers={"If-None-Match": '"1"'})

    assert response.status_code == 200
    assert response.json()["stock"] == 9


def test_a_deleted_product_is_gone(sam, teapot):
    assert sam.delete(f"/products/{teapot['id']}").status_code == 204

    assert sam.get(f"/products/{teapot['id']}").status_code == 404
    assert sam.delete(f"/products/{teapot['id']}").status_code == 404


def test_a_customer_may_not_sell(pat):
    response = pat.post("/products", json={"name": "Teapot", "price_cents": 1, "stock": 1})

    assert response.status_code == 403


def test_another_sellers_product_stays_as_it_is(sam, visitor):
    product = visitor.get("/products?limit=1").json()["items"][0]   # the seed's seller owns it

    response = sam.delete(f"/products/{product['id']}")

    assert response.status_code == 403
    assert visitor.get(f"/products/{product['id']}").json() == product
