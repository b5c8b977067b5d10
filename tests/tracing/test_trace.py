"""What a reader sees of a trace of the real shop."""
import re
from dataclasses import FrozenInstanceError

import pytest

from webscale import stages
from webscale.servers import before, serve
from webscale.tracing import Trace, trace

LAYERS = ["RequestId", "SecurityHeaders", "Problems", "SizeLimit", "CrossSiteCheck", "BodyParser", "Sessions",
          "Authentication", "Router"]


def test_a_trace_is_one_line(buy):
    assert re.fullmatch(r"<POST /orders → 201, \d\d stages, \d+\.\d ms>", repr(buy()))


def test_the_response_is_the_real_one(buy):
    assert buy().response.json()["status"] == "confirmed"


def test_the_stages_are_in_the_order_of_the_way_in(buy):
    found = buy()

    assert [stage.name for stage in found.stages if stage.kind in ("middleware", "router")] == LAYERS
    assert [stage.start_ms for stage in found.stages] == sorted(stage.start_ms for stage in found.stages)


def test_the_table_without_times_is_equal_for_equal_requests(buy):
    assert len({buy().table(times=False) for _ in range(3)}) == 1


def test_the_table_without_times_holds_no_time(buy):
    found = buy()

    assert " ms " in found.table()
    assert " ms" not in found.table(times=False)


def test_the_table_shows_itself_in_a_notebook(buy):
    table = buy().table(times=False)

    assert repr(table) == str(table) and table.startswith("POST /orders → 201\nclient\n  server\n    RequestId")


def test_the_table_fails_when_a_stage_is_missing(buy):
    whole = buy().table(times=False)
    with serve("01-monolith", without=["SecurityHeaders"]) as server:
        broken = trace(server, "GET", "/products").table(times=False)

    assert "SecurityHeaders" in whole and "SecurityHeaders" not in broken


def test_the_helpers_of_a_stage_are_shown_on_request(buy):
    found = buy()

    assert "fingerprint" not in found.table()
    assert "orders.feature.fingerprint" in found.table(helpers=True)


def test_a_middleware_shows_what_it_added(buy, teapot):
    found = buy()

    assert list(found.stage("BodyParser").changed) == ["body"]
    assert found.stage("BodyParser").changed["body"] == {"lines": [{"product_id": teapot, "quantity": 1}]}
    assert found.stage("Sessions").came_in["state"].keys() == {"request_id", "body"}
    assert list(found.stage("RequestId").out["headers"]) == ["x-request-id"]


def test_a_middleware_shows_when_it_handed_on_and_got_back(buy):
    stage = buy().stage("Sessions")

    assert stage.start_ms < stage.handed_on_ms < stage.got_back_ms < stage.end_ms


def test_a_middleware_that_refuses_is_where_the_request_ends(shop):
    found = trace(shop, "POST", "/orders", json={}, headers={"Origin": "http://elsewhere.example"})

    assert "Sessions" not in [stage.name for stage in found.stages]
    assert found.stage("CrossSiteCheck").handed_on_ms is None
    assert found.stage("CrossSiteCheck").text == "raised CrossSite"
    assert found.stage("Problems").text == "answers 403"


def test_the_router_took_the_sixth_route_that_it_tried(buy):
    router = buy().stage("Router")

    assert [each.match for each in router.tried] == ["NONE"] * 5 + ["FULL"]
    assert router.text == "tried 6, took POST /orders"


def test_a_crud_call_has_its_sql_and_its_rows(buy):
    stage = buy().stage("catalog.crud.take_from_stock")

    assert stage.sql.startswith("UPDATE product SET stock = stock - :quantity") and stage.rows == 1
    assert stage.came_in["quantity"] == 1
    assert stage.out["returns"]["name"] == "Teapot"


def test_rows_are_told_of_statements_that_bring_some(buy):
    trace = buy()

    assert trace.stage("catalog.crud.take_from_stock").text == "→ 1 row"
    assert trace.stage("orders.crud.insert_line").text == ""


def test_the_source_shows_the_file_with_an_arrow_at_each_line_that_ran(shop):
    text = trace(shop, "GET", "/products/999").source("catalog.feature")

    assert text.splitlines()[0] == "catalog.feature.product, shop/catalog/feature.py"
    assert re.search(r"^→ *\d+          raise NotFound", text, re.MULTILINE)
    assert re.search(r"^  *\d+      return Product", text, re.MULTILINE)


def test_an_unknown_stage_is_answered_with_those_there_are(buy):
    with pytest.raises(KeyError, match="no stage 'Session'.*RequestId, SecurityHeaders"):
        buy().stage("Session")


def test_a_stage_cannot_be_changed(buy):
    with pytest.raises(FrozenInstanceError):
        buy().stages[0].name = "mine"


# ------------------------------------------------------------------ steps

def test_the_steps_go_in_by_every_layer_and_out_in_reverse(buy):
    steps = buy().steps

    assert [step.name for step in steps if step.stage.kind in ("middleware", "router")] == \
        LAYERS + ["← " + name for name in reversed(LAYERS[:-1])]
    assert (steps[0].name, steps[-1].name) == ("client", "← client")


def test_the_steps_between_are_controller_feature_crud_and_response(buy):
    names = [step.name for step in buy().steps]

    inside = names[names.index("Router") + 1:names.index("← Authentication")]
    assert inside[:2] == ["orders.controller.place_order", "orders.feature.place_order"]
    assert inside[-1] == "responses.created"
    assert "database.one" not in names   # part of the crud step that asked


def test_a_step_shows_the_requests_state_as_it_grows(buy):
    steps = {step.name: step for step in buy().steps}

    assert steps["client"].state == {}
    assert list(steps["BodyParser"].state) == ["request_id", "body"]
    assert list(steps["Router"].state) == ["request_id", "body", "session", "account"]
    assert steps["Router"].state["account"]["email"] == "‹hidden›"


# ------------------------------------------------------------------ sending

def test_the_readers_session_keeps_its_cookies_and_its_connections(shop, pat):
    adapters = dict(pat.adapters)

    assert trace(shop, "GET", "/account", session=pat).status == 200
    assert dict(pat.adapters) == adapters


def test_the_parameters_are_those_of_requests(shop):
    found = trace(shop, "GET", "/products", params={"limit": 2}, headers={"X-Request-Id": "mine-mine-mine"})

    assert len(found.response.json()["items"]) == 2
    assert found.response.headers["X-Request-Id"] == "mine-mine-mine"
    assert found.path == "/products?limit=2"


def test_what_the_server_program_refuses_itself_is_a_trace_with_a_note(shop):
    found = trace(shop, "GET", "/products", headers={"X-Long": "x" * 40_000})

    assert found.status == 431
    assert found.stages == () and "never reached the application" in found.note
    assert repr(found) == "<GET /products → 431, no stages>"
    assert found.response_bytes.startswith("HTTP/1.1 431 Request Header Fields Too Large")
    assert found.note in found.table()
    assert found.otlp()["resourceSpans"][0]["scopeSpans"][0]["spans"] == []


def test_a_trace_can_be_made_of_the_record_alone(shop, buy):
    found = buy()

    made = Trace.from_record(next(record for record in shop.traces if record["trace_id"] == found.id))

    assert made.stages[0].name == "server" and made.status == 201


# ------------------------------------------------------------------ the reader's own

def test_the_readers_middleware_is_a_stage_with_its_lines(monkeypatch):
    monkeypatch.setitem(stages.sources, "Greeter", '''class Greeter:
    """Greets."""

    def __init__(self, app, greeting):
        self.app, self.greeting = app, greeting

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            scope["state"]["count"] = len(self.greeting)
        await self.app(scope, receive, send)
''')
    with serve("01-monolith", add={"Greeter": before("Sessions", greeting="hello")}) as server:
        stage = trace(server, "GET", "/products").stage("Greeter")

    assert stage.changed == {"count": 5} and stage.file == "<stage Greeter>"
    assert [line.number for line in stage.code if line.ran] == [8, 9, 10]


def test_the_readers_application_is_a_stage_with_its_lines(monkeypatch):
    monkeypatch.setitem(stages.sources, "hello", '''async def hello(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
''')
    with serve(stage="hello") as server:
        found = trace(server, "GET", "/")

    assert [(stage.name, stage.kind) for stage in found.stages] == [("client", "client"), ("server", "server"), ("hello", "app")]
    assert [line.ran for line in found.stage("hello").code] == [False, True, True, True]
    assert found.response_bytes.endswith("\n\nhello")


def test_the_readers_starlette_has_a_router_and_a_controller(monkeypatch):
    monkeypatch.setitem(stages.sources, "mine", '''from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def word():
    return "hello"

async def read(request):
    return PlainTextResponse(word())

app = Starlette(routes=[Route("/", read)])
''')
    with serve(stage="mine") as server:
        found = trace(server, "GET", "/")

    assert [stage.kind for stage in found.stages] == ["client", "server", "router", "controller"]
    assert found.stages[-1].name == "read"
    assert [line.number for line in found.stages[-1].code if line.ran] == [6, 9]


def test_a_middlewares_count_includes_the_traced_requests(monkeypatch):
    monkeypatch.setitem(stages.sources, "Count", '''class Count:
    def __init__(self, app):
        self.app, self.count = app, 0

    async def __call__(self, scope, receive, send):
        self.count += scope["type"] == "http"

        async def counted(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-count", str(self.count).encode()))
            await send(message)

        await self.app(scope, receive, counted)
''')
    with serve("01-monolith", add={"Count": before("RequestId")}) as server, server.session() as session:
        session.get(server.url + "/livez", timeout=10)
        assert trace(server, "GET", "/livez", session=session).response.headers["X-Count"] == "2"
        assert session.get(server.url + "/livez", timeout=10).headers["X-Count"] == "3"
