"""Which stages a trace holds, in process, on a package of six small modules."""
import asyncio
import inspect
import sys
import threading

import pytest
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from uvicorn import Config

from webscale import recorder


class Counting:
    """Counts what passes in, and what passes out."""

    def __init__(self, app):
        self.app, self.came_in, self.went_out, self.selves = app, 0, 0, []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.came_in += 1
        self.selves.append(self)
        scope["state"]["count"] = self.came_in

        async def counted(message):
            self.went_out += message["type"] == "http.response.start"
            await send(message)

        await self.app(scope, receive, counted)


def counting_function(app):
    """The same without a class."""
    count = 0

    async def counting(scope, receive, send):
        nonlocal count
        count += 1
        scope["state"]["count"] = count
        await app(scope, receive, send)
    counting.count = lambda: count
    return counting


class Slotted:
    """A middleware whose attributes cannot be shared."""

    __slots__ = ("app",)

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def layer(app, name):
    """The application's own layer of this name, as Starlette built it."""
    found = app.middleware_stack
    while getattr(found, "__name__", type(found).__name__) != name:
        found = found.app
    return found


def test_stages_are_nested_as_the_calls_were(tiny, asked):
    trace = asked(tiny.create_app([Middleware(Counting)])).trace("/things/3")

    assert [(stage.name, stage.kind, stage.depth) for stage in trace.stages] == [
        ("server", "server", 0), ("Counting", "middleware", 1), ("Router", "router", 2),
        ("controller.read", "controller", 3), ("feature.thing", "feature", 4), ("feature.pause", "feature", 5), ("feature.woken", "feature", 6), ("crud.select", "crud", 5),
        ("database.one", "database", 6), ("database.cleaned", "database", 7), ("database.run", "database", 7),
        ("database.nothing", "database", 8), ("database.zero", "database", 9), ("responses.ok", "response", 4)]


def test_a_function_says_what_came_in_and_what_it_returned(tiny, asked):
    trace = asked(tiny.create_app()).trace("/things/3")

    assert trace.stage("feature.thing").came_in == {"id": 3}
    assert trace.stage("feature.thing").out == {"returns": {"name": "odd", "id": 3}}
    assert trace.stage("crud.select").sql == "SELECT :id AS id"
    assert trace.stage("database.one").rows == 1


def test_a_call_with_wrong_arguments_stays_the_functions_own_error(tiny):
    with pytest.raises(TypeError, match="thing"):
        sys.modules["tiny.feature"].thing()


def test_the_router_tells_which_routes_it_tried_with_which_result(tiny, asked):
    found = asked(tiny.create_app()).trace("/missing", method="POST")

    assert [(each.path, each.match) for each in found.stage("Router").tried] == [
        ("/things/{id:int}", "NONE"), ("/missing", "PARTIAL"), ("/other", "NONE")]
    assert found.status == 405


def test_an_exception_is_named_but_not_quoted(tiny, asked):
    app = asked(tiny.create_app([Middleware(Counting)]))

    with pytest.raises(LookupError):
        app.trace("/missing")
    app.sampled.sender.submit(int).result()

    assert "canary" not in str(app.records)
    assert [span["error"] for span in app.records[0]["spans"] if "of" not in span] == ["LookupError"] * 5


def test_starlettes_own_error_page_is_a_stage_only_where_it_was_needed(tiny, asked):
    app = asked(tiny.create_app())

    assert "ServerErrorMiddleware" not in [stage.name for stage in app.trace("/things/1").stages]
    with pytest.raises(LookupError):
        app.trace("/missing")
    app.sampled.sender.submit(int).result()
    assert [span["name"] for span in app.records[-1]["spans"] if span.get("answered")] == [ServerErrorMiddleware.__name__]


def test_a_middlewares_count_holds_both_kinds_of_request(tiny, asked):
    app = asked(tiny.create_app([Middleware(Counting)]))

    app.requests("/things/1", "/things/2", sampled=None)
    trace = app.trace("/things/3")
    app.requests("/things/4", sampled=None)

    counting = layer(app.app, "Counting")
    assert (counting.came_in, counting.went_out) == (4, 4)
    assert trace.stage("Counting").changed == {"count": 3}


def test_a_middleware_function_counts_both_kinds_too(tiny, asked):
    app = asked(tiny.create_app([Middleware(counting_function)]))

    app.requests("/things/1", sampled=None)
    trace = app.trace("/things/3")
    app.requests("/things/1", sampled=None)

    assert layer(app.app, "counting").count() == 3
    assert trace.stage("counting_function").changed == {"count": 2}


def test_a_middleware_with_slots_is_traced(tiny, asked):
    assert asked(tiny.create_app([Middleware(Slotted)])).trace("/things/1").stage("Slotted").kind == "middleware"


def test_a_request_without_the_sampled_flag_meets_the_applications_own_objects(tiny, asked):
    app = asked(tiny.create_app([Middleware(Counting)]))
    own = layer(app.app, "Counting")

    app.requests("/things/1", sampled=None)   # no traceparent
    app.requests("/things/1", sampled=0)      # traceparent …-00
    assert [each is own for each in own.selves] == [True, True]
    assert app.records == []

    app.requests("/things/1", sampled=1)
    assert own.selves[2] is not own and isinstance(own.selves[2], Counting)
    assert len(app.records) == 1


def test_a_request_without_the_flag_is_handed_on_as_it_came(asked):
    seen = []

    async def app(*given):
        seen.append(given)

    given = ({"type": "http", "headers": [(b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00")]}, object(), object())
    coroutine = recorder.sampled(app, None)(*given)

    assert coroutine.cr_code is app.__code__   # not a coroutine of the recorder's
    asyncio.run(coroutine)
    assert all(one is other for one, other in zip(seen[0], given))


@pytest.mark.parametrize("traceparent", ["", "00-1-2-01", "00-" + "g" * 32 + "-" + "b" * 16 + "-01", "ff"])
def test_a_malformed_traceparent_is_no_request_to_record(traceparent, asked):
    async def app(scope, receive, send):
        pass

    scope = {"type": "http", "headers": [(b"traceparent", traceparent.encode())]}

    coroutine = recorder.sampled(app, None)(scope, None, None)

    coroutine.close()
    assert coroutine.cr_code is app.__code__


def test_an_application_that_is_one_function_is_one_stage(asked):
    async def hello(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    trace = asked(hello).trace("/")

    assert [(stage.name, stage.kind) for stage in trace.stages] == [
        ("server", "server"), ("test_an_application_that_is_one_function_is_one_stage", "app")]


def test_an_onion_made_by_hand_is_taken_apart(asked):
    async def hello(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    trace = asked(Counting(Slotted(hello))).trace("/")

    assert [stage.name for stage in trace.stages][:2] == ["server", "Counting"]
    assert trace.status == 200


def test_an_endpoint_of_no_known_module_is_a_controller(tiny, asked):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse("hello")

    trace = asked(Starlette(routes=[Route("/", hello)])).trace("/")

    assert [stage.kind for stage in trace.stages] == ["server", "router", "controller"]


def test_functions_that_run_in_a_thread_belong_to_their_request(tiny, asked):
    run = asked(tiny.create_app()).trace("/things/3").stage("database.run")

    assert [line.text.strip() for line in run.code if line.ran] == ['return {"id": values["id"] + self.nothing}']


def test_what_is_wrapped_is_still_what_it_was(tiny):
    controller, responses = sys.modules["tiny.controller"], sys.modules["tiny.responses"]
    is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction

    assert is_coroutine_function(controller.read)
    assert str(inspect.signature(responses.ok)) == "(content, *, status=200)"
    assert responses.ok({}, status=201).status_code == 201
    assert controller.read.__name__ == "read" and inspect.getsource(controller.read).startswith("async def read")


def test_uvicorn_takes_the_sampled_application_for_asgi_3():
    config = Config(recorder.sampled(Slotted(None), None))

    config.load()

    assert config.interface == "asgi3"


def test_a_failure_of_the_recorder_does_not_reach_the_request(tiny, asked, caplog):
    app = asked(tiny.create_app())
    app.sampled.send_record = lambda record: 1 / 0

    assert app.requests("/things/1") == []
    assert "ZeroDivisionError" in caplog.text


def test_the_record_is_sent_from_a_thread_of_its_own(tiny, asked):
    app, threads = asked(tiny.create_app()), []
    app.sampled.send_record = lambda record: threads.append(threading.current_thread())

    app.requests("/things/1")

    assert threads != [threading.main_thread()]
