"""A server that does not start says why, and what to do."""
import gc
import os
import tempfile
from pathlib import Path

import pytest

from webscale import background, stages
from webscale.servers import ServeError, after, before, serve

STAGES = {
    "Nothing": "x = 1",
    "Forgetful": "app = Starlette()",
    "Class": "class Class:\n    pass",
    "Broken": "def app(:",
    "Slow": "import threading\nthreading.Event().wait()",
    "Tag": "class Tag:\n    def __init__(self, app):\n        self.app = app",
}


@pytest.fixture(autouse=True)
def reader(monkeypatch, tmp_path):
    """Somebody with a few stages, and a place for temporary files where everything that stays is seen."""
    monkeypatch.setattr(stages, "sources", STAGES)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("asked", "said"), [
    ({"example": Path("nowhere")}, "There is no example 'nowhere'. There are: 01-monolith"),
    ({"stage": "Unknown"}, "There is no stage 'Unknown'; there are: Nothing, Forgetful, "),
    ({"stage": "Nothing"}, "The stage Nothing has no application: define one called app, or"),
    ({"stage": "Class"}, "The stage Class has no application"),
    ({"stage": "Forgetful"}, "name 'Starlette' is not defined. A stage runs in a process of its own: its cell must import"),
    ({"stage": "Broken"}, "SyntaxError: invalid syntax"),
    ({"stage": "Tag", "settings": {"seed": "none"}}, "write_ms are for an example"),
    ({"settings": {"logins_per_account": "ten"}}, "SHOP_LOGINS_PER_ACCOUNT must be a number above zero, not 'ten'."),
    ({"settings": {"database": "sqlite:////no/such/folder/shop.db"}}, "OperationalError: unable to open database file"),
    ({"add": {"Tag": before("Session")}}, "There is no middleware 'Session' here; there are: RequestId, SecurityHeaders, "),
    ({"add": {"Tag": after("Sessions", limit=1)}}, "unexpected keyword argument 'limit'"),
    ({"add": {"Tag": after("Sessions", key=len)}}, "The options of Tag travel to the server's process as JSON"),
    ({"add": {"Tag": "Sessions"}}, "Say where Tag goes, as in add={\"Tag\": before(\"Authentication\")}"),
    ({"add": {"Unknown": after("Sessions")}}, "Run the cell that starts with %%stage Unknown first."),
    ({"add": {"Nothing": after("Sessions")}}, "The stage Nothing has no middleware: define a class called Nothing"),
])
def test_the_error_says_what_is_wrong_and_what_there_is(asked, said):
    with pytest.raises(ServeError) as failure:
        serve(**asked)

    assert said in str(failure.value)


@pytest.mark.parametrize(("app", "said"), [
    ("raise RuntimeError('no coffee')", "RuntimeError: no coffee"),
    ("import sys; sys.exit('no coffee')", "SystemExit: no coffee"),
    ("import os; print('no coffee'); os._exit(7)", "no coffee"),
    ("import os; os._exit(7)", "(it said nothing)"),
    ("def create_app(settings): return None", "create_app() in tiny/app.py must return an application; it returned None."),
    ("x = 1", "has no attribute 'create_app'"),
    ("""
from starlette.applications import Starlette
def lifespan(app): raise RuntimeError("no coffee")
create_app = lambda settings: Starlette(lifespan=lifespan)""", "RuntimeError: no coffee"),
])
def test_an_application_that_does_not_start_has_the_last_word(example_of, app, said):
    with pytest.raises(ServeError, match="00-tiny did not start. Its last words were:") as failure:
        serve(example_of(app))

    assert said in str(failure.value)


@pytest.mark.parametrize(("packages", "said"), [([], "it holds none."), (["one", "two"], "it holds one, two.")])
def test_a_folder_needs_exactly_one_package(tmp_path, packages, said):
    folder = tmp_path / "mine"
    for path in [folder, *(folder / package for package in packages)]:
        path.mkdir()
        (path / "app.py").touch()

    with pytest.raises(ServeError, match="The folder mine must hold one package with an app.py in it") as failure:
        serve(folder)
    assert said in str(failure.value)


def test_the_log_of_a_start_that_failed_stays_as_long_as_its_error(example_of):
    with pytest.raises(ServeError) as failure:
        serve(example_of("print('to the log')\n1 / 0"))
    log = failure.value.log
    text = log.read_text("utf-8")
    del failure
    gc.collect()

    assert "to the log" in text
    assert "    1 / 0" in text
    assert not log.parent.exists()


def test_a_server_that_is_not_ready_in_time_is_given_up_and_ended(monkeypatch, reader):
    monkeypatch.setattr(background, "READY_WITHIN_S", 0.5)
    started = []
    monkeypatch.setattr(background, "start", lambda *args, start=background.start: started.append(start(*args)) or started[0])

    with pytest.raises(ServeError, match="Slow was not ready within 0.5 s"):
        serve(stage="Slow")
    assert started[0].returncode is not None


def test_an_interrupt_while_a_server_starts_ends_it(monkeypatch, reader):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(background.Server, "begin", interrupted)

    with pytest.raises(KeyboardInterrupt) as kept:   # as IPython keeps it, and with it the half-made server
        serve()
    assert kept.traceback
    assert not list(reader.glob("webscale-*"))


def test_a_machine_without_a_free_port_is_told_apart_from_a_broken_app(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("""
import errno, socket
def create_server(*args, **kwargs): raise OSError(errno.EADDRINUSE, "Address already in use")
socket.create_server = create_server""", "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    with pytest.raises(ServeError, match="no free port .* Stop servers that you no longer need, or restart the kernel"):
        serve()
