"""A shop whose requests are traced, and a package of six small modules for what the shop has not got."""
import asyncio
import importlib
import os
import sys
import textwrap

import pytest

from webscale import recorder
from webscale.servers import serve
from webscale.tracing import Trace, trace

SETTINGS = {"logins_per_account": 1_000_000, "logins_per_address": 1_000_000}


@pytest.fixture(scope="session")
def shop():
    """A shop of our own."""
    with serve("01-monolith", settings=SETTINGS) as server:
        yield server


@pytest.fixture
def pat(shop):
    """A visitor's session, logged in as a seller."""
    with logged_in(shop) as session:
        yield session


def logged_in(server):
    """A session with the server, logged in as a seller."""
    session = server.session()
    who = {"email": f"pat-{os.urandom(4).hex()}@example.com", "password": "correct horse"}
    assert session.post(server.url + "/accounts", json={**who, "seller": True}, timeout=10).status_code == 201
    assert session.post(server.url + "/session", json=who, timeout=10).status_code == 201
    return session


@pytest.fixture
def log_in():
    return logged_in


@pytest.fixture
def teapot(shop, pat):
    """The id of a product that is never sold out."""
    new = {"name": "Teapot", "price_cents": 2490, "stock": 1_000_000}
    return pat.post(shop.url + "/products", json=new, timeout=10).json()["id"]


@pytest.fixture
def buy(shop, pat, teapot):
    """The trace of an order of one product."""
    def buy():
        return trace(shop, "POST", "/orders", session=pat, json={"lines": [{"product_id": teapot, "quantity": 1}]},
                     headers={"Idempotency-Key": os.urandom(8).hex()})
    return buy


# ------------------------------------------------------------------ in this process

TINY = {
    "app": """
        from starlette.applications import Starlette
        from starlette.routing import Route
        from tiny.controller import read, missing

        routes = [Route("/things/{id:int}", read), Route("/missing", missing), Route("/other", read, methods=["POST"])]

        def create_app(middleware=()):
            return Starlette(routes=routes, middleware=list(middleware))
        """,
    "controller": """
        from tiny import responses
        from tiny.feature import thing

        async def read(request):
            found = await thing(request.path_params["id"])
            return responses.ok(found)

        async def missing(request):
            raise LookupError("can" + "ary")   # not in the source, which is shown
        """,
    "feature": """
        import asyncio
        from tiny import crud

        async def thing(id):
            if id % 2:
                word = "odd"
            else:
                word = "even"
            await pause(id)
            row = await crud.select(id)
            return {"name": word, "id": row["id"]}

        async def pause(id):
            for _ in range(id % 5):
                await asyncio.sleep(0.001)
            woken(id)   # the first stage to begin after others had their turn

        def woken(id):
            return id
        """,
    "crud": """
        from tiny import database

        async def select(id):
            return await database.Database().one("SELECT :id AS id", id=id)
        """,
    "database": """
        import asyncio, contextvars, functools

        class Database:
            kind = "none"

            async def one(self, sql, **values):
                cleaned(sql)
                context = contextvars.copy_context()
                return await asyncio.get_running_loop().run_in_executor(None, context.run, self.run, sql, values)

            def run(self, sql, values):
                return {"id": values["id"] + self.nothing}

            @property
            def nothing(self):
                return self.zero()

            @staticmethod
            def zero():
                return 0

        @functools.lru_cache
        def cleaned(sql):
            return sql.strip()
        """,
    "responses": """
        from starlette.responses import JSONResponse

        def ok(content, *, status=200):
            return JSONResponse(content, status)
        """,
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The package `tiny`, imported with the recorder installed."""
    for name, source in {"__init__": "", **TINY}.items():
        path = tmp_path / "tiny" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip(), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    recorder.install("tiny")
    yield importlib.import_module("tiny.app")
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


class Asked:
    """An application behind its recorder, and what became of the requests to it."""

    def __init__(self, app):
        self.app, self.records = app, []
        self.sampled = recorder.sampled(app, self.records.append)

    async def request(self, path, method="GET", sampled=True, app=None):
        """The messages that the application sent."""
        headers = [(b"host", b"127.0.0.1")]
        if sampled is not None:
            headers.append((b"traceparent", b"00-%032x-%016x-%02x" % (len(path) + 1, 7, sampled)))
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": headers, "state": {}, "scheme": "http", "server": ("127.0.0.1", 80), "root_path": "",
                 "client": ("127.0.0.1", 9), "http_version": "1.1", "asgi": {"version": "3.0"}}
        sent, body = [], [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            return body.pop() if body else await asyncio.Event().wait()   # this client never leaves

        async def send(message):
            sent.append(message)

        await (app or self.sampled)(scope, receive, send)
        return sent

    def requests(self, *paths, **options):
        """The traces of requests made all at once."""
        async def all_at_once():
            await asyncio.gather(*(self.request(path, **options) for path in paths))
        asyncio.run(all_at_once())
        self.sampled.sender.submit(int).result()   # the records before it are delivered
        return [Trace.from_record(record) for record in self.records]

    def trace(self, path, **options):
        """The trace of one request."""
        return self.requests(path, **options)[-1]


@pytest.fixture
def asked():
    return Asked
