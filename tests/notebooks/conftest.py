import pytest

from webscale.source import Line
from webscale.tracing import Stage, Text, Trace, Try


def stage(place, kind, name, depth, start_ms, end_ms, own_ms, **more):
    return Stage(id=f"{place:016x}", parent=more.pop("parent", f"{depth - 1:016x}") if depth else None, depth=depth,
                 kind=kind, name=name, file=more.pop("file", ""), start_ms=start_ms, end_ms=end_ms, own_ms=own_ms, **more)


@pytest.fixture
def trip():
    """A trace as the recorder would bring it, with markup wherever a client could have put some."""
    stages = (
        stage(0, "client", "client", 0, 0.0, 20.0, 4.0),
        stage(1, "middleware", "Sessions", 1, 2.0, 18.0, 1.0, changed={"session": {"id": "<b>7</b>"}},
              handed_on_ms=2.5, got_back_ms=17.5, out={"headers": {"x-seen": "<i>"}},
              code=(Line(1, "async def sessions(app):", False), Line(2, "    if 1 < 2:", True), Line(9, "end()", False))),
        stage(2, "router", "Router", 2, 3.0, 17.0, 0.5, tried=(Try("GET", "/a", "NONE"), Try("GET", "/products/{id}", "FULL"))),
        stage(3, "controller", "catalog.controller.read_product", 3, 3.5, 16.5, 0.75, came_in={"id": 7}),
        stage(4, "feature", "catalog.feature.product", 4, 4.0, 16.0, 1.0, result="Product"),
        stage(5, "crud", "catalog.crud.find", 5, 5.0, 15.0, 10.0, sql="SELECT '<script>' FROM product", rows=1),
    )
    return Trace(id="ab" * 16, method="GET", path="/products/<7>", status=200, route="/products/{id}", began_unix_ns=0,
                 stages=stages, request_bytes=Text("GET /products/<7> HTTP/1.1\r\n"),
                 response_bytes=Text("HTTP/1.1 200 OK\r\n"))
