"""The levers of notebook 09: the same answers, at another price."""
import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import ExitStack, closing
from itertools import islice

import pytest
from shop.app import opened
from shop.catalog import cache
from shop.settings import Settings

from webscale.servers import ServeError, serve
from webscale.tracing import trace

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
        sam.shop = shop
        sam.path = shop.url + sam.post(f"{shop.url}/products", json={"name": "Bowl", "price_cents": 100, "stock": 9}).headers["Location"]
        assert sam.get(sam.path).json()["price_cents"] == 100
        yield sam


@pytest.fixture
def path(tmp_path):
    """Where a database is that outlives its servers."""
    return (tmp_path / "shop.db").as_posix()


class SlowDatabase:
    """Holds one product, and an answer back until it is told to go on."""

    def __init__(self):
        self.price_cents, self.go_on = 100, asyncio.Event()

    async def one(self, sql, id):
        row = {"id": id, "name": "Bowl", "price_cents": self.price_cents, "stock": 9, "seller_id": 1, "version": 1}
        await self.go_on.wait()
        return row


def pages(shop, path="/products?limit=7"):
    """The ids of all products, page by page."""
    with shop.session() as session:
        while path:
            page = session.get(shop.url + path).json()
            yield from (item["id"] for item in page["items"])
            path = page["next"]


@pytest.mark.parametrize("lever", [{"history_queries": "each"}, {"history_index": "no"}])
def test_a_history_is_the_same_whatever_it_costs(lever, path):
    database = {"database": f"sqlite:///{path}"}
    with serve("01-monolith", settings=database) as shop, serve("01-monolith", settings={**database, **lever}) as slow:
        with logged_in(shop, PAT) as pat:
            for number in range(5):
                buy(shop, pat, f"k{number}", 1 + number, 10 + number)
            answers = [[pat.get(f"{server.url}{path}").json() for path in ("/history", "/history?limit=2", "/history?before=4&limit=2")]
                       for server in (shop, slow)]

    assert len(answers[0][0]["items"]) == 10
    assert answers[0] == answers[1]


@pytest.mark.parametrize("queries", ["one", "each"])
def test_a_history_says_what_is_no_longer_sold(queries):
    with serve("01-monolith", settings={"history_queries": queries}) as shop, logged_in(shop, SAM) as sam:
        bowl = sam.post(f"{shop.url}/products", json={"name": "Bowl", "price_cents": 100, "stock": 9}).json()["id"]
        buy(shop, sam, "k", 7, bowl)
        sam.delete(f"{shop.url}/products/{bowl}")
        items = sam.get(f"{shop.url}/history").json()["items"]

    assert {item["product_id"]: item["still_sold"] for item in items} == {7: True, bowl: False}


@pytest.mark.parametrize(("queries", "asked"), [
    ("one", {"select_history": 1}),
    ("each", {"select_orders": 1, "select_lines": 3, "select_still_sold": 6}),
])
def test_a_history_of_three_orders_of_two_lines_takes_one_query_or_ten(queries, asked):
    with serve("01-monolith", settings={"history_queries": queries}) as shop, logged_in(shop, PAT) as pat:
        for key in ("a", "b", "c"):
            buy(shop, pat, key, 1, 2)
        stages = trace(shop, "GET", "/history", session=pat).stages

    names = [stage.name for stage in stages if stage.name.startswith("history.crud.")]
    assert Counter(name.removeprefix("history.crud.") for name in names) == asked


def test_the_index_of_histories_goes_and_comes_back(path):
    plans = []
    for index in ("yes", "no", "yes"):
        settings = {"database": f"sqlite:///{path}", "history_index": index}
        with serve("01-monolith", settings=settings) as shop, logged_in(shop, PAT) as pat:
            sql = trace(shop, "GET", "/history", session=pat).stage("history.crud").sql
        with closing(sqlite3.connect(path)) as db:
            plan = db.execute(f"EXPLAIN QUERY PLAN {sql}", {"account_id": 1, "before": 9, "limit": 20})
            plans.append([step for *_, step in plan if " orders " in step])

    by_account, all_orders = ["SEARCH orders USING INDEX orders_account (account_id=? AND id<?)"], ["SEARCH orders USING INTEGER PRIMARY KEY (rowid<?)"]
    assert plans == [by_account, all_orders, by_account]


def test_both_ways_of_paging_show_every_product_once():
    with serve("01-monolith") as by_key, serve("01-monolith", settings={"paging": "offset"}) as by_offset:
        seen = [list(islice(pages(shop), 99)) for shop in (by_key, by_offset)]   # pages that lead in a circle end, too

    assert seen == [list(range(1, 25))] * 2


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
    order = buy(seller.shop, seller, "k", 1, id)
    left = seller.get(seller.path).json()["stock"]
    seller.delete(seller.shop.url + order.headers["Location"])

    assert (left, seller.get(seller.path).json()["stock"]) == (8, 9)


def test_a_reader_overtaken_by_a_change_does_not_put_the_old_value_back():
    async def prices():
        products, db = cache.ProductCache(60), SlowDatabase()
        overtaken = asyncio.create_task(products.product(db, 7))
        await asyncio.sleep(0)   # it has its row, and the answer is on its way
        db.price_cents = 200
        products.forget(7)
        db.go_on.set()
        return [(await overtaken).price_cents, (await products.product(db, 7)).price_cents]

    assert asyncio.run(prices()) == [100, 200]


def test_a_full_cache_lets_the_oldest_go(monkeypatch):
    monkeypatch.setattr(cache, "MOST", 2)

    async def kept():
        products, db = cache.ProductCache(60), SlowDatabase()
        db.go_on.set()
        for id in (1, 2, 3):
            await products.product(db, id)
        return list(products.kept)

    assert asyncio.run(kept()) == [2, 3]


@pytest.mark.parametrize(("seconds", "seen"), [(1, (100, 100, 200)), (0, (100, 200, 200))])
def test_another_replicas_change_is_seen_when_the_time_is_over(seconds, seen, path):
    settings = {"database": f"sqlite:///{path}", "product_cache_s": seconds}
    with ExitStack() as stack:
        one, other = (stack.enter_context(serve("01-monolith", settings=settings)) for _ in range(2))
        with logged_in(one, SAM) as sam:
            bowl = sam.post(f"{one.url}/products", json={"name": "Bowl", "price_cents": 100, "stock": 9}).headers["Location"]
            before = sam.get(other.url + bowl).json()["price_cents"]
            sam.put(one.url + bowl, json={"name": "Bowl", "price_cents": 200, "stock": 9})
            soon = sam.get(other.url + bowl).json()["price_cents"]
            time.sleep(seconds + 0.1)
            later = sam.get(other.url + bowl).json()["price_cents"]

    assert (before, soon, later) == seen


@pytest.mark.parametrize(("compress", "encodings"), [("yes", ["gzip", None]), ("no", [None, None])])
def test_long_answers_are_compressed_if_wanted(compress, encodings):
    with serve("01-monolith", settings={"compress": compress}) as shop, shop.session() as session:
        long, short = (session.get(shop.url + path) for path in ("/products", "/products/7"))

    assert [answer.headers.get("Content-Encoding") for answer in (long, short)] == encodings
    assert long.json()["items"][6] == short.json()


@pytest.mark.parametrize(("word", "number"), [("off", 0), ("normal", 1), ("full", 2)])
def test_the_disk_is_waited_for_as_the_setting_says(word, number, path):
    async def pragma():
        settings = Settings(database=f"sqlite:///{path}", synchronous=word)
        async with opened(settings) as state, state["db"].transaction() as tx:
            return tuple(await tx.one("PRAGMA synchronous"))

    assert asyncio.run(pragma()) == (number,)


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


def test_a_cache_of_zero_seconds_is_none_at_all():
    assert Settings.from_environment({"SHOP_PRODUCT_CACHE_S": "0"}).product_cache_s == 0
