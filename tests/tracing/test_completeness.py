"""No function of a stage's module that a request enters is missing from its trace: Python's profiler is the witness."""
import json
from collections import Counter

import pytest

from webscale import stages
from webscale.servers import before, serve
from webscale.tracing import trace

WITNESS = '''
import json, os, sys, threading

MODULES = {f"{name}.py" for name in ("controller", "feature", "crud", "database", "responses")}
frames, watching = {}, False


def profile(frame, event, arg):
    """Notes each frame of a stage's module as it begins; a coroutine's begins once, however often it goes on."""
    code = frame.f_code
    if watching and event == "call" and of_the_shop(code.co_filename) and code.co_name.isidentifier():
        frames[id(frame)] = frame   # kept, so that no other frame can get its id


def of_the_shop(filename):
    parts = filename.replace(os.sep, "/").split("/")
    return parts[-1] in MODULES and "shop" in parts[-3:-1]


threading.setprofile(profile)   # for the threads to come, the writer's among them
sys.setprofile(profile)


class Witness:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        global watching
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        sys.setprofile(profile)   # the server's loop may have been started by code that a profile does not see
        frames.clear()
        watching = True

        async def tell(message):
            if message["type"] == "http.response.start":
                named = [(os.path.basename(os.path.dirname(frame.f_code.co_filename)), os.path.basename(frame.f_code.co_filename),
                          frame.f_code.co_name) for frame in list(frames.values())]
                message["headers"] = [*message["headers"], (b"x-entered", json.dumps(named).encode())]
            await send(message)

        try:
            await self.app(scope, receive, tell)
        finally:
            watching = False
'''


@pytest.fixture(scope="module")
def watched(request):
    """A shop whose outermost middleware notes which functions are entered, and a seller's session with it."""
    stages.sources["Witness"] = WITNESS
    with serve("01-monolith", add={"Witness": before("RequestId")}) as server:
        with request.getfixturevalue("log_in_once")(server) as session:
            yield server, session
    del stages.sources["Witness"]


@pytest.fixture(scope="module")
def log_in_once():
    """conftest's log_in, which lives for one test only."""
    def log_in(server):
        session = server.session()
        who = {"email": "sam@example.com", "password": "correct horse"}
        session.post(server.url + "/accounts", json={**who, "seller": True}, timeout=10)
        session.post(server.url + "/session", json=who, timeout=10)
        return session
    return log_in


def entered(response):
    """How often each function was entered, under the name that its stage must have."""
    names = []
    for folder, file, name in json.loads(response.headers["x-entered"]):
        module = file.removesuffix(".py")
        names.append(f"{module}.{name}" if folder == "shop" else f"{folder}.{module}.{name}")
    return Counter(names)


def recorded(found):
    """How often each function is in the trace."""
    kinds = ("controller", "feature", "crud", "database", "response")
    return Counter(stage.name for stage in found.stages if stage.kind in kinds and stage.name.partition(".")[0] != "operators")


TEAPOT = {"name": "Teapot", "price_cents": 2490, "stock": 10}
ORDER = {"lines": [{"product_id": 2, "quantity": 1}, {"product_id": 1, "quantity": 2}]}


# In this order every branch is taken: the same order again, a product that is gone, nobody logged in.
@pytest.mark.parametrize("method, path, body, headers", [
    ("GET", "/products", None, {}),
    ("GET", "/products/1", None, {}),
    ("GET", "/products/1", None, {"If-None-Match": '"1"'}),
    ("GET", "/products/999", None, {}),
    ("POST", "/products", TEAPOT, {}),
    ("PUT", "/products/25", TEAPOT, {"If-Match": '"1"'}),
    ("PUT", "/products/25", TEAPOT, {"If-Match": '"1"'}),   # changed since
    ("PUT", "/products/1", TEAPOT, {}),
    ("DELETE", "/products/25", None, {}),
    ("POST", "/orders", ORDER, {"Idempotency-Key": "one"}),
    ("POST", "/orders", ORDER, {"Idempotency-Key": "one"}),
    ("POST", "/orders", ORDER, {}),
    ("POST", "/orders", {"lines": [{"product_id": 3, "quantity": 999}]}, {"Idempotency-Key": "two"}),
    ("GET", "/orders/1", None, {}),
    ("DELETE", "/orders/1", None, {}),
    ("DELETE", "/orders/1", None, {}),
    ("GET", "/history", None, {}),
    ("GET", "/account", None, {}),
    ("POST", "/accounts", {"email": "pat@example.com", "password": "correct horse"}, {}),
    ("POST", "/session", {"email": "pat@example.com", "password": "correct horse"}, {}),
    ("POST", "/session", {"email": "pat@example.com", "password": "wrong"}, {}),
    ("DELETE", "/session", None, {}),
    ("GET", "/account", None, {}),
    ("GET", "/readyz", None, {}),
    ("PATCH", "/products", None, {}),
    ("GET", "/nope", None, {}),
    ("POST", "/session", "no object", {}),
])
def test_every_function_that_was_entered_is_in_the_trace(watched, method, path, body, headers):
    server, session = watched

    found = trace(server, method, path, session=session, json=body, headers=headers)

    assert found.status < 500
    assert recorded(found) == entered(found.response)
