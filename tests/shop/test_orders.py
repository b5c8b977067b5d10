"""Buy, read, cancel, and what was bought."""
from concurrent.futures import ThreadPoolExecutor


def test_an_order_is_confirmed_and_takes_from_stock(pat, teapot):
    order = pat.settled(pat.buy(teapot["id"], 3))

    assert order["status"] == "confirmed"
    assert order["total_cents"] == 3 * 2490
    assert pat.get(f"/products/{teapot['id']}").json()["stock"] == 7


def test_nothing_is_half_written_when_one_line_is_out_of_stock(pat, sam, teapot):
    rare = sam.post("/products", json={"name": "Rare", "price_cents": 1, "stock": 1}).json()
    lines = [{"product_id": teapot["id"], "quantity": 1}, {"product_id": rare["id"], "quantity": 2}]

    response = pat.post("/orders", json={"lines": lines}, headers={"Idempotency-Key": "half"})

    assert response.status_code == 409
    assert pat.get(f"/products/{teapot['id']}").json() == teapot
    assert pat.get("/history").json()["items"] == []


def test_an_order_keeps_name_and_price_as_bought(pat, sam, teapot):
    order = pat.settled(pat.buy(teapot["id"]))
    sam.put(f"/products/{teapot['id']}", json={"name": "Dear teapot", "price_cents": 99_999, "stock": 5})

    later = pat.get(f"/orders/{order['id']}").json()

    assert later["lines"] == [{"product_id": teapot["id"], "name": "Teapot", "price_cents": 2490, "quantity": 1}]


def test_the_same_key_orders_once(pat, teapot):
    first, second = pat.buy(teapot["id"], key="once"), pat.buy(teapot["id"], key="once")

    assert pat.settled(first) == pat.settled(second)
    assert pat.get(f"/products/{teapot['id']}").json()["stock"] == 9


def test_the_same_key_for_another_order_is_422(pat, teapot):
    pat.buy(teapot["id"], 1, key="mine")

    response = pat.buy(teapot["id"], 2, key="mine")

    assert response.status_code == 422
    assert response.json()["field"] == "Idempotency-Key"


def test_two_accounts_may_use_the_same_key(pat, sam, teapot):
    mine, theirs = pat.buy(teapot["id"], key="same"), sam.buy(teapot["id"], key="same")

    assert mine.json()["id"] != theirs.json()["id"]


def test_without_a_key_there_is_no_order(pat, teapot):
    response = pat.post("/orders", json={"lines": [{"product_id": teapot["id"], "quantity": 1}]})

    assert response.status_code == 400
    assert response.json()["field"] == "Idempotency-Key"


def test_twenty_who_want_ten_leave_none_and_not_less(pat, teapot):
    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(lambda _: pat.buy(teapot["id"]).status_code, range(20)))

    assert sorted(statuses) == [201] * 10 + [409] * 10
    assert pat.get(f"/products/{teapot['id']}").json()["stock"] == 0


def test_twenty_with_one_key_at_once_make_one_order(pat, teapot):
    with ThreadPoolExecutor(20) as threads:
        orders = list(threads.map(lambda _: pat.settled(pat.buy(teapot["id"], key="all"))["id"], range(20)))

    assert len(set(orders)) == 1
    assert pat.get(f"/products/{teapot['id']}").json()["stock"] == 9


def test_cancelling_returns_the_stock_once(pat, teapot):
    order = pat.settled(pat.buy(teapot["id"], 4))

    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: pat.delete(f"/orders/{order['id']}").json()["status"], range(5)))

    assert set(answers) == {"cancelled"}
    assert pat.get(f"/products/{teapot['id']}").json()["stock"] == 10


def test_someone_elses_order_is_not_found(pat, sam, teapot):
    order = pat.settled(pat.buy(teapot["id"]))

    assert sam.get(f"/orders/{order['id']}").status_code == 404
    assert sam.delete(f"/orders/{order['id']}").status_code == 404
    assert pat.get(f"/orders/{order['id']}").json()["status"] == "confirmed"


def test_history_shows_what_i_ordered_newest_first(pat, sam, teapot):
    whisk = sam.post("/products", json={"name": "Whisk", "price_cents": 790, "stock": 3}).json()
    pat.settled(pat.buy(teapot["id"]))
    pat.settled(pat.buy(whisk["id"], 2))

    items = pat.get("/history").json()["items"]

    assert [(item["name"], item["quantity"]) for item in items] == [("Whisk", 2), ("Teapot", 1)]


def test_history_keeps_a_deleted_product(pat, sam, teapot):
    pat.settled(pat.buy(teapot["id"]))
    sam.delete(f"/products/{teapot['id']}")

    [item] = pat.get("/history").json()["items"]

    assert (item["name"], item["still_sold"]) == ("Teapot", False)


def test_pages_lead_through_the_whole_history(pat, teapot):
    ordered = [pat.settled(pat.buy(teapot["id"]))["id"] for _ in range(5)]
    url, seen = "/history?limit=2", []

    while url:
        page = pat.get(url).json()
        seen += [item["order_id"] for item in page["items"]]
        url = page["next"]

    assert seen == ordered[::-1]


def test_an_order_has_one_to_twenty_lines(pat, teapot):
    headers = {"Idempotency-Key": "many"}
    twenty_one = [{"product_id": number, "quantity": 1} for number in range(1, 22)]

    assert pat.post("/orders", json={"lines": []}, headers=headers).status_code == 400
    assert pat.post("/orders", json={"lines": twenty_one}, headers=headers).status_code == 400
    assert pat.post("/orders", json={"lines": twenty_one[:20]}, headers=headers).status_code == 201


def test_two_lines_of_one_product_add_up(pat, teapot):
    lines = [{"product_id": teapot["id"], "quantity": 2}, {"product_id": teapot["id"], "quantity": 3}]

    order = pat.settled(pat.post("/orders", json={"lines": lines}, headers={"Idempotency-Key": "twice"}))

    assert [line["quantity"] for line in order["lines"]] == [5]
