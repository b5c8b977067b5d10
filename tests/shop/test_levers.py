"""The levers of notebook 09: the same answers, at another price."""
import time
from contextlib import ExitStack

import pytest

from webscale.servers import ServeError, serve

PAT = {"email": "pat@example.com", "password": "correct horse"}
SAM = {"email": "sam@example.com", "password": "correct horse", "seller": True}


def logged_in(shop, who):
    """A session of somebody who has signed up now or before."""
    session = shop.session()
    session.post(f"{shop.url}/accounts", json=who)
    assert session.post(f"{shop.url}/session", json={key: who[key] for key in ("email", "password")}).ok
    return session


def buy(shop, session, key, *product_ids):
    """The answer to an order of one piece of each."""
    lines = [{"product_id": id, "quantity": 1} for id in product_ids]
    return session.post(f"{shop.url}/orders", json={"lines": lines}, headers={"Idempotency-Key": key})


@pytest.fixture
def seller():
    """A shop that caches for a minute, and a seller with a product in it that was read once."""
    with serve("01-monolith", settings={"product_cache_s": 60}) as shop, logged_in(shop, SAM) as sam:
        sam.shop = shop.url
        sam.path = shop.url + sam.post(f"{shop.url}/products", json={"name": "Bowl", "price_cents": 100, "stock": 9}).headers["Location"]
        assert sam.get(sam.path).json()["price_cents"] == 100
        yield sam


def pages(shop, path="/products?limit=7"):
    """The ids of all products, page by page."""
    with shop.session() as session:
        while path:
            page = session.get(shop.url + path).json()
            yield from (item["id"] for item in page["items"])
            path = page["next"]


@pytest.mark.parametrize("lever", [{"history_queries": "each"}, {"history_index": "no"}])
def test_a_history_is_the_same_whatever_it_costs(lever, tmp_path):
    database = {"database": f"sqlite:///{(tmp_path / 'shop.db').as_posix()}"}
    with serve("01-monolith", settings=database) as shop, serve("01-monolith", settings={**database, **lever}) as slow:
        with logged_in(shop, PAT) as pat:
            for number in range(5):
                buy(shop, pat, f"k{number}", 1 + number, 10 + number)
            answers = [[pat.get(f"{server.url}{path}").json() for path in ("/history", "/history?limit=2", "/history?before=4&limit=2")]
                       for server in (shop, slow)]

    assert len(answers[0][0]["items"]) == 10
    assert answers[0] == answers[1]


def test_both_ways_of_paging_show_every_product_once():
    with serve("01-monolith") as by_key, serve("01-monolith", settings={"paging": "offset"}) as by_offset:
        assert list(pages(by_key)) == list(pages(by_offset)) == list(range(1, 25))


@pytest.mark.parametrize(("paging", "seen"), [("key", [1, 2, 3, 4]), ("offset", [1, 2, 4, 5])])
def test_a_product_deleted_between_two_pages_hides_another_from_whoever_pages_by_offset(paging, seen):
    with serve("01-monolith", settings={"paging": paging, "seed": "none"}) as shop, logged_in(shop, SAM) as sam:
        for name in "ABCDE":
            sam.post(f"{shop.url}/products", json={"name": name, "price_cents": 1, "stock": 1})
        first = sam.get(f"{shop.url}/products?limit=2").json()
        sam.delete(f"{shop.url}/products/1")
        second = sam.get(shop.url + first["next"]).json()

    assert [item["id"] for item in first["items"] + second["items"]] == seen


def test_a_change_in_this_process_empties_its_cache(seller):
    seller.put(seller.path, json={"name": "Bowl", "price_cents": 200, "stock": 9})

    assert seller.get(seller.path).json()["price_cents"] == 200


def test_a_deleted_product_is_gone_from_the_cache(seller):
    seller.delete(seller.path)

    assert seller.get(seller.path).status_code == 404


def test_an_order_and_its_cancelling_empty_the_cache(seller):
    id = seller.get(seller.path).json()["id"]
    order = seller.post(f"{seller.shop}/orders", json={"lines": [{"product_id": id, "quantity": 2}]}, headers={"Idempotency-Key": "k"})
    left = seller.get(seller.path).json()["stock"]
    seller.delete(seller.shop + order.headers["Location"])

    assert (left, seller.get(seller.path).json()["stock"]) == (7, 9)


def test_another_replicas_change_is_seen_when_the_time_is_over(tmp_path):
    settings = {"database": f"sqlite:///{(tmp_path / 'shop.db').as_posix()}", "product_cache_s": 1}
    with ExitStack() as stack:
        one, other = (stack.enter_context(serve("01-monolith", settings=settings)) for _ in range(2))
        with logged_in(one, SAM) as sam:
            path = sam.post(f"{one.url}/products", json={"name": "Bowl", "price_cents": 100, "stock": 9}).headers["Location"]
            before = sam.get(other.url + path).json()["price_cents"]
            sam.put(one.url + path, json={"name": "Bowl", "price_cents": 200, "stock": 9})
            stale = sam.get(other.url + path).json()["price_cents"]
            time.sleep(1.1)
            fresh = sam.get(other.url + path).json()["price_cents"]

    assert (before, stale, fresh) == (100, 100, 200)


@pytest.mark.parametrize(("compress", "encoding"), [("yes", "gzip"), ("no", None)])
def test_long_answers_are_compressed_if_wanted(compress, encoding):
    with serve("01-monolith", settings={"compress": compress}) as shop, shop.session() as session:
        answer = session.get(f"{shop.url}/products")

    assert answer.headers.get("Content-Encoding") == encoding
    assert len(answer.json()["items"]) == 20


@pytest.mark.parametrize("word", ["off", "normal", "full"])
def test_an_order_is_kept_whatever_the_disk_is_waited_for(word):
    with serve("01-monolith", settings={"synchronous": word}) as shop, logged_in(shop, PAT) as pat:
        assert buy(shop, pat, "k", 7).status_code == 201
        assert len(pat.get(f"{shop.url}/history").json()["items"]) == 1


@pytest.mark.parametrize(("lever", "words"), [
    ({"paging": "page"}, "SHOP_PAGING must be key or offset, not 'page'"),
    ({"synchronous": "sometimes"}, "SHOP_SYNCHRONOUS must be off or normal or full"),
    ({"product_cache_s": -1}, "SHOP_PRODUCT_CACHE_S must be a number from zero, not '-1'"),
])
def test_a_lever_that_is_no_word_of_its_own_says_which_are(lever, words):
    with pytest.raises(ServeError, match=words):
        serve("01-monolith", settings=lever)
