"""Which lines a trace lights: those of its own request, and no others."""
import asyncio
import os
import sys
import threading

import pytest
from starlette.middleware import Middleware

from webscale.lines import Stepped, current, tracer
from webscale.tracing import trace

ODD = ['if id % 2:', 'word = "odd"']
EVEN = ['if id % 2:', 'word = "even"']
ALWAYS = ["await pause(id)", "row = await crud.select(id)", 'return {"name": word, "id": row["id"]}']
PAUSE = ["for _ in range(id % 5):", "await asyncio.sleep(0.001)"]
WOKEN = ["woken(id)   # the first stage to begin after others had their turn"]


def lit(stage):
    """The lines that ran."""
    return [line.text.strip() for line in stage.code if line.ran]


def expected(id):
    """The lines of feature.thing that run for this id."""
    return (ODD if id % 2 else EVEN) + ALWAYS


class Doubtful:
    """A middleware with code on the way in, on the way out, and some that never runs."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "nothing":
            self.never()

        async def sending(message):
            helped(message)
            await send(message)

        await self.app(scope, receive, sending)

    def never(self):
        raise AssertionError


def helped(message):
    """A helper beside the class."""
    return message["type"]


@pytest.mark.parametrize("id", [1, 2, 5, 10])
def test_the_lines_that_ran_are_lit(id, tiny, asked):
    found = asked(tiny.create_app()).trace(f"/things/{id}")

    assert lit(found.stage("feature.thing")) == expected(id)
    assert lit(found.stage("feature.pause")) == (PAUSE if id % 5 else PAUSE[:1]) + WOKEN   # in the same file, and it waits


def test_20_concurrent_requests_light_no_line_of_another(tiny, asked):
    ids = range(20)

    traces = asked(tiny.create_app()).requests(*(f"/things/{id}" for id in ids))

    assert sorted(trace.path for trace in traces) == sorted(f"/things/{id}" for id in ids)
    for each in traces:
        id = int(each.path.rpartition("/")[2])
        assert lit(each.stage("feature.thing")) == expected(id)
        assert [stage.came_in for stage in each.stages if stage.name == "feature.woken"] == [{"id": id}]
    assert len({tuple((stage.name, stage.depth) for stage in each.stages if stage.name != "database.cleaned")
                for each in traces}) == 1


def test_20_concurrent_requests_to_the_shop_light_the_lines_of_one_alone(shop, log_in):
    wanted = {"/products/1": "GET", "/products?limit=3": "GET", "/nope": "GET", "/orders": "POST", "/accounts": "POST"}
    with log_in(shop) as session:
        def ask(path):
            name = f"{threading.current_thread().name}-{os.urandom(4).hex()}"
            bodies = {"/orders": {"lines": [{"product_id": 1, "quantity": 1}]},
                      "/accounts": {"email": f"{name}@example.com", "password": "correct horse"}}
            with shop.session() as own:   # a session of its own: requests' are not made for several threads
                own.cookies.update(session.cookies)
                return trace(shop, wanted[path], path, session=own, json=bodies.get(path), headers={"Idempotency-Key": name})

        alone = {path: ask(path) for path in wanted}
        together = []
        threads = [threading.Thread(target=lambda path=path: together.append((path, ask(path))), name=f"thread-{number}")
                   for path in wanted for number in range(4)]
        threads += [threading.Thread(target=lambda: session.get(shop.url + "/products", timeout=10))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(together) == 20
    for path, found in together:
        assert shape(found) == shape(alone[path])


def shape(trace):
    """All that must not depend on who else is being served."""
    return trace.status, [(stage.name, stage.depth, lit(stage)) for stage in trace.stages]


def test_a_middleware_lights_both_ways_and_the_helpers_beside_it(tiny, asked):
    found = asked(tiny.create_app([Middleware(Doubtful)])).trace("/things/1").stage("Doubtful")

    assert lit(found) == ['if scope["type"] == "nothing":', "async def sending(message):", "helped(message)",
                          "await send(message)", "await self.app(scope, receive, sending)", 'return message["type"]']
    assert "raise AssertionError" in [line.text.strip() for line in found.code]


def test_a_statement_of_several_lines_is_lit_as_a_whole(buy):
    assert [line.ran for line in buy().stage("orders.crud.insert_order").code] == [False, False, True, True, True, True, True]


def test_another_tracer_is_back_after_the_request(tiny, asked):
    seen = []

    def other(frame, event, arg):
        seen.append(frame.f_code.co_name)

    former = sys.gettrace()
    sys.settrace(other)
    try:
        asked(tiny.create_app()).trace("/things/3")
        assert sys.gettrace() is other
    finally:
        sys.settrace(former)


def test_the_tracer_is_off_while_the_request_waits():
    seen = []

    async def waiting():
        seen.append(sys.gettrace())
        await asyncio.sleep(0.01)
        seen.append(sys.gettrace())

    async def other():
        seen.append(sys.gettrace())

    async def both():
        await asyncio.gather(run(waiting()), other())

    async def run(coroutine):
        await Stepped(coroutine)

    former = sys.gettrace()
    asyncio.run(both())

    assert seen == [tracer, former, tracer]


def test_a_stepped_coroutine_can_be_cancelled_and_says_goodbye():
    seen = []

    async def waiting():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("goodbye")
            raise

    async def run():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Stepped(waiting())

    asyncio.run(run())

    assert seen == ["cancelled", "goodbye"]


def test_no_span_is_current_after_the_request(tiny, asked):
    async def request():
        await asked(tiny.create_app()).request("/things/1")
        return current.get()

    assert asyncio.run(request()) is None
