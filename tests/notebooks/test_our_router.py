"""The 15 lines that notebook 03 teaches choose as Starlette's router does, on any table and any path."""
import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shop.router import routes as shops_routes  # registers the convertor "id", too
from starlette.routing import Route, Router

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-router.ipynb"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
KINDS = ["{str}", "{int}", "{path}", "{id}"]
WORDS = ["", "products", "new", "7", "openapi.yaml", "a+b", "x|y", "é"]   # of a route's path
VALUES = ["7", "42", "0", "007", "9" * 18, "9" * 19, "٧", "-7", "7.5", "new", "x", "", "a b", "a/b", "7\n7", "%2F", "\0"]
NEARLY = ["openapiXyaml", "aab", "x", "PRODUCTS", "\n"]
ENDINGS = ["", "", "", "", "/", "x", "/x", "\n"]


def taught_source():
    """What the notebook's own cells say about the router."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["id"].startswith("our-router"))


taught = {}
exec(compile(taught_source(), "03-router.ipynb", "exec"), taught)
pattern, choose = taught["pattern"], taught["choose"]


class Endpoint:
    """An ASGI application that tells which of the routes it is, and its parameters."""

    def __init__(self, place):
        self.place = place

    async def __call__(self, scope, receive, send):
        await send({"chosen": (self.place, scope["path_params"])})


def as_text(kind, value):
    """The parameter as it stood in the path, zeros in front taken away: Starlette hands out numbers, ours does not."""
    return str(int(value)) if kind in ("int", "id") else value


def our_choice(table, method, path):
    """The route's place and its parameters; or 405 or 404."""
    compiled = [(methods_of(method), pattern(path), place) for place, (path, method) in enumerate(table)]
    chosen, more = choose(compiled, method, path)
    return chosen if isinstance(more, list) else (chosen, more)


def methods_of(method):
    """Where GET is taken, HEAD is."""
    return {method, "HEAD"} if method == "GET" else {method}


def starlettes_choice(table, method, path, **more):
    """The route's place and its parameters; or 405 or 404."""
    router = Router([Route(path, Endpoint(place), methods=[method]) for place, (path, method) in enumerate(table)],
                    redirect_slashes=False)
    said = []

    async def send(message):
        said.append(message)

    run(router({"type": "http", "method": method, "path": path, **more}, None, send))
    return said[0].get("chosen") or said[0]["status"]


def run(coroutine):
    """Nothing is returned; the coroutine, which waits for nobody, has run to its end."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def same(table, ours, starlettes):
    """Whether both chose the same, parameters included."""
    if isinstance(ours, int) or isinstance(starlettes, int):
        return ours == starlettes
    kinds = dict(re.findall(r"\{(\w+):(\w+)\}", table[ours[0]][0]))
    return ours[0] == starlettes[0] and ours[1].keys() == starlettes[1].keys() and all(
        as_text(kinds[name], ours[1][name]) == str(starlettes[1][name]) for name in ours[1])


THE_SHOPS = [(route.path, method) for route in shops_routes for method in route.methods if method != "HEAD"]
PARAMETER = re.compile(r"\{\w+:\w+\}")
methods = st.sampled_from(METHODS)
pieces = st.sampled_from([*WORDS, *VALUES, *NEARLY]) | st.text(max_size=3)
any_path = st.lists(pieces, max_size=4).map(lambda pieces: "/" + "/".join(pieces)) | st.text(max_size=8)


@st.composite
def routes_paths(draw):
    """The path of a route, such as /products/{p1:id}/new."""
    words = draw(st.lists(st.sampled_from(WORDS) | st.sampled_from(KINDS), min_size=1, max_size=3))
    return "/" + "/".join(word.replace("{", f"{{p{place}:") for place, word in enumerate(words))


@st.composite
def requests(draw, table):
    """A method and a path: what one of the routes takes, or nearly, or anything."""
    if not table or draw(st.integers(0, 3)) == 0:
        return draw(methods), draw(any_path)
    path, method = draw(st.sampled_from(table))
    path = PARAMETER.sub(lambda found: draw(st.sampled_from(VALUES)), path)
    return draw(st.just(method) | methods), path + draw(st.sampled_from(ENDINGS))


@st.composite
def cases(draw, tables):
    """A table, a method and a path. None ends in a line break: there the two part, see below."""
    table = draw(tables)
    method, path = draw(requests(table).filter(lambda request: not request[1].endswith("\n")))
    return table, method, path


def check(table, method, path):
    """Nothing is returned; both routers choose the same."""
    ours, starlettes = our_choice(table, method, path), starlettes_choice(table, method, path)

    assert same(table, ours, starlettes), (ours, starlettes)


@settings(max_examples=300, deadline=None)
@given(cases(st.lists(st.tuples(routes_paths(), methods), max_size=8)))
@example(([("/{p0:str}", "GET"), ("/new", "GET")], "GET", "/new"))
@example(([("/new", "POST"), ("/{p0:str}", "GET")], "GET", "/new"))
@example(([("/{p0:int}", "GET")], "GET", "/٧"))
@example(([("/{p0:path}", "GET")], "GET", "/"))
@example(([("/openapi.yaml", "GET")], "GET", "/openapiXyaml"))
def test_our_router_agrees_with_starlettes(case):
    check(*case)


@settings(max_examples=300, deadline=None)
@given(cases(st.just(THE_SHOPS)))
def test_our_router_agrees_with_starlettes_on_the_shops_table(case):
    check(*case)


@settings(max_examples=200, deadline=None)
@given(requests(THE_SHOPS))
def test_the_shops_table_chooses_the_same_in_either_order(request):
    table = [(methods_of(method), pattern(path), (path, method)) for path, method in THE_SHOPS]

    assert choose(table[::-1], *request) == choose(table, *request)


@pytest.mark.parametrize("place", range(len(THE_SHOPS)))
def test_both_find_each_route_of_the_shop(place):
    path, method = THE_SHOPS[place]
    path = path.replace("{id:id}", "7")

    assert our_choice(THE_SHOPS, method, path)[0] == starlettes_choice(THE_SHOPS, method, path)[0] == place


def test_405_names_every_method_that_the_path_takes():
    table = [(methods_of(method), pattern(path), path) for path, method in THE_SHOPS]

    assert choose(table, "PATCH", "/products/7") == (405, ["DELETE", "GET", "HEAD", "PUT"])


def test_they_part_at_a_line_break_at_the_end():
    table = [("/livez", "GET")]

    assert our_choice(table, "GET", "/livez\n") == 404
    assert starlettes_choice(table, "GET", "/livez\n") == (0, {})


def test_ours_knows_no_root_path():
    table = [("/livez", "GET")]

    assert our_choice(table, "GET", "/shop/livez") == 404
    assert starlettes_choice(table, "GET", "/shop/livez", root_path="/shop") == (0, {})


def test_starlettes_int_fails_on_more_digits_than_python_reads():
    table = [("/{p0:int}", "GET")]

    assert our_choice(table, "GET", "/" + "7" * 5_000) == (0, {"p0": "7" * 5_000})
    with pytest.raises(ValueError, match="digits"):
        starlettes_choice(table, "GET", "/" + "7" * 5_000)


def test_it_is_fifteen_lines():
    tree = ast.parse(taught_source())
    docstrings = [node.body[0] for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)]
    lines = [line for line in taught_source().splitlines() if line.strip()]

    assert len(lines) - sum(text.end_lineno - text.lineno + 1 for text in docstrings) == 15
