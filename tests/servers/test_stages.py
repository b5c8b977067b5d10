"""%%stage NAME: the reader's own cell, in the notebook and in a server."""
import inspect

import pytest
import requests

from webscale import stages

HELLO = '''%%stage Hello
from starlette.responses import PlainTextResponse

async def Hello(scope, receive, send):
    """Says hello."""
    await PlainTextResponse("hello")(scope, receive, send)
'''
STAMP = '''%%stage Stamp
class Stamp:
    """Signs each response."""

    def __init__(self, app, text="stamped"):
        self.app, self.text = app, text

    async def __call__(self, scope, receive, send):
        async def send_signed(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-stamp", self.text.encode()))
            await send(message)
        scope.get("state", {})["stamped"] = "request_id" in scope.get("state", {})
        await self.app(scope, receive, send_signed)
'''
WITNESS = '''%%stage Witness
class Witness:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            print("a request id was there:", scope["state"]["stamped"])
        await self.app(scope, receive, send)
'''


@pytest.fixture(autouse=True)
def no_stages(monkeypatch):
    """A notebook in which nobody has run a stage yet."""
    monkeypatch.setattr(stages, "sources", {})


def test_a_stage_runs_in_the_notebook_without_a_word(shell, capsys):
    result = shell.run_cell("%%stage Sum\ntotal = 1 + 1\ntotal")

    assert result.success
    assert shell.user_ns["total"] == 2
    assert capsys.readouterr().out == ""


def test_a_stage_is_served_by_its_name(shell):
    shell.run_cell(HELLO)
    shell.run_cell("hello = serve(stage='Hello')")
    server = shell.user_ns["hello"]

    assert requests.get(server.url, timeout=5).text == "hello"
    assert repr(server) == f"<Hello at {server.url}, running>"


def test_a_stages_variable_app_comes_before_its_name(shell):
    shell.run_cell(HELLO + "\napp = PlainTextResponse('from app')\n")
    shell.run_cell("hello = serve(stage='Hello')")

    assert requests.get(shell.user_ns["hello"].url, timeout=5).text == "from app"


def test_a_stage_that_is_run_again_is_served_as_it_is_now(shell):
    shell.run_cell(HELLO)
    shell.run_cell(HELLO.replace('"hello"', '"good morning"'))
    shell.run_cell("hello = serve(stage='Hello')")

    assert requests.get(shell.user_ns["hello"].url, timeout=5).text == "good morning"


@pytest.mark.parametrize(("place", "was_there"), [("before", False), ("after", True)])
def test_a_middleware_is_slipped_in_before_or_after_another(shell, place, was_there):
    shell.run_cell(STAMP)
    shell.run_cell(WITNESS)
    shell.run_cell(f"shop = serve(add={{'Stamp': {place}('RequestId', text='seen'), 'Witness': after('Stamp')}})")
    shop = shell.user_ns["shop"]
    answer = requests.get(f"{shop.url}/products/1", timeout=5)

    assert answer.headers["x-stamp"] == "seen"
    assert shop.log.read_text("utf-8") == f"a request id was there: {was_there}\n"


def test_the_source_of_a_stages_functions_is_at_hand(shell):
    shell.run_cell(HELLO)
    shell.run_cell(STAMP)

    assert inspect.getsource(shell.user_ns["Hello"]) == HELLO[HELLO.index("async def"):]
    assert inspect.getsource(shell.user_ns["Stamp"].__call__).startswith("    async def __call__(self,")
    assert stages.sources["Hello"] == HELLO.partition("\n")[2]


@pytest.mark.parametrize("name", ["", "   ", "two words", "7up"])
def test_a_stage_needs_a_name(shell, capsys, name):
    result = shell.run_cell(f"%%stage {name}\nx = 1")

    assert str(result.error_in_exec) == f"Give the stage a name, as in %%stage Stopwatch; {name.strip()!r} is none."
    assert "x" not in shell.user_ns


def test_an_error_in_a_stages_cell_is_shown_with_the_readers_line(shell, capsys):
    result = shell.run_cell("%%stage Broken\nx = 1\nx / 0   # on purpose")
    shown = capsys.readouterr().out

    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert "x / 0   # on purpose" in shown


def test_an_error_in_a_server_is_logged_with_the_readers_line(shell):
    shell.run_cell(HELLO.replace('"hello"', "1 / 0"))
    shell.run_cell("hello = serve(stage='Hello')")
    server = shell.user_ns["hello"]
    answer = requests.get(server.url, timeout=5)

    assert answer.status_code == 500
    assert 'File "<stage Hello>", line 5, in Hello\n    await PlainTextResponse(1 / 0)' in server.log.read_text("utf-8")


def test_a_stage_may_have_the_name_of_a_package(shell):
    shell.run_cell(HELLO.replace("Hello", "shop"))
    shell.run_cell("hello = serve(stage='shop')")

    assert requests.get(shell.user_ns["hello"].url, timeout=5).text == "hello"
