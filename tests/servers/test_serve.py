"""A real server in the background, from one line: ready when serve() returns, gone when nobody wants it any more."""
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from webscale import launcher
from webscale.servers import ServeError, before, serve


def gone(pid, within_s):
    """Whether the process is gone before the time is over."""
    deadline = time.perf_counter() + within_s
    while time.perf_counter() < deadline:
        if not runs(pid):
            return True
        time.sleep(0.01)
    return False


def runs(pid):
    """Whether there is such a process, zombies left out."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3] if Path("/proc").is_dir() else not os.kill(pid, 0)
    except (OSError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def shop():
    """A shop that is running."""
    with serve("01-monolith") as server:
        yield server


def example(folder, app, settings="class Settings:\n    from_environment = classmethod(lambda cls: cls())\n"):
    """The path of a small example that has this app.py."""
    package = folder / "small" / "tiny"
    package.mkdir(parents=True)
    for name, text in {"__init__.py": "", "app.py": app, "settings.py": settings}.items():
        (package / name).write_text(text, "utf-8")
    return package.parent


def test_a_server_answers_as_soon_as_serve_returns(shop):
    assert requests.get(f"{shop.url}/livez").json() == {"status": "alive"}


def test_it_shows_itself_in_one_line(shop):
    assert repr(shop) == f"<01-monolith at {shop.url}, running>"


def test_several_run_at_once_and_share_nothing(shop):
    with serve("01-monolith") as other, other.session() as client:
        client.post(f"{other.url}/accounts", json={"email": "pat@example.com", "password": "correct horse"})
        login = {"email": "pat@example.com", "password": "correct horse"}

        assert client.post(f"{other.url}/session", json=login).status_code == 201
        assert client.post(f"{shop.url}/session", json=login).status_code == 401


def test_after_stop_it_is_gone_with_its_folder():
    server = serve("01-monolith")
    folder = server.log.parent

    server.stop()

    assert not runs(server.pid)
    assert not folder.exists()
    assert repr(server) == "<01-monolith, stopped>"


def test_stopping_twice_is_fine():
    server = serve("01-monolith")

    server.stop()
    server.stop()
    server.kill()

    assert not server.alive


def test_a_request_under_way_is_finished_before_a_stop(tmp_path):
    app = ("import asyncio\nfrom starlette.responses import PlainTextResponse\n"
           "def create_app(settings): return app\n"
           "async def app(scope, receive, send):\n"
           "    assert scope['type'] == 'http'\n"
           "    print('came', flush=True)\n"
           "    await asyncio.sleep(0.5)\n"
           "    await PlainTextResponse('done')(scope, receive, send)\n")
    server = serve(example(tmp_path, app))
    code = f"import requests; print(requests.get('{server.url}').text)"
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while "came" not in server.log.read_text("utf-8"):
        time.sleep(0.01)

    server.stop()

    assert client.communicate(timeout=10)[0] == "done\n"


def test_a_server_that_nobody_holds_any_more_is_stopped():
    server = serve("01-monolith")
    pid = server.pid

    del server
    gc.collect()

    assert gone(pid, within_s=2)


def test_a_server_that_died_says_so():
    with serve("01-monolith") as server:
        os.kill(server.pid, signal.SIGTERM)
        server.process.wait(10)

        assert not server.alive
        assert repr(server).startswith("<01-monolith, died with code ")


def test_what_an_application_prints_goes_to_the_log(tmp_path):
    app = "def create_app(settings):\n    print('hello from the app')\n    return app\nasync def app(*message): pass\n"

    with serve(example(tmp_path, app)) as server:
        assert "hello from the app" in server.log.read_text("utf-8")


def test_an_unknown_example_is_an_error_that_lists_those_there_are():
    with pytest.raises(ServeError, match="There is no example '99-nothing'. There are: 01-monolith"):
        serve("99-nothing")


def test_an_app_that_raises_at_start_is_an_error_with_its_last_words(tmp_path):
    app = "def create_app(settings):\n    raise RuntimeError('the shelf is empty')\n"

    with pytest.raises(ServeError, match="RuntimeError: the shelf is empty") as caught:
        serve(example(tmp_path, app))

    assert "create_app" in caught.value.log.read_text("utf-8")
    caught.value.log.unlink()


def test_a_folder_without_an_app_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ServeError, match="must hold one package with an app.py"):
        serve(tmp_path)


def test_an_unknown_setting_is_an_error_that_lists_those_there_are():
    with pytest.raises(ServeError, match="There is no setting SHOP_COLOUR. There are: SHOP_DATABASE"):
        serve("01-monolith", settings={"colour": "blue"})


def test_a_setting_is_used():
    with serve("01-monolith", settings={"seed": "none"}) as server:
        assert requests.get(f"{server.url}/products").json()["items"] == []


def test_without_a_free_port_the_error_says_what_to_do(monkeypatch):
    def refuse(*address, **options):
        raise OSError(98, "Address already in use")
    monkeypatch.setattr(launcher.socket, "create_server", refuse)

    with pytest.raises(OSError, match="no free port .* Stop servers that you no longer need"):
        launcher.free_port()


def test_a_middleware_can_be_taken_away():
    with serve("01-monolith", without=["SecurityHeaders"]) as server:
        assert "X-Content-Type-Options" not in requests.get(f"{server.url}/livez").headers


def test_an_unknown_middleware_is_an_error_that_lists_those_there_are():
    with pytest.raises(ServeError, match="There is no middleware 'Nothing' here; there are: RequestId, SecurityHeaders"):
        serve("01-monolith", without=["Nothing"])


def test_an_unknown_stage_is_an_error_that_says_what_to_run():
    with pytest.raises(ServeError, match="Run the cell that starts with %%stage Nothing first"):
        serve("01-monolith", add={"Nothing": before("Sessions")})


def test_proxies_are_not_asked_for_our_own_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")   # where nobody listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "example.com")

    with serve("01-monolith") as server:
        assert requests.get(f"{server.url}/livez").status_code == 200


KERNEL = """
import sys, threading, time, requests
from webscale.servers import serve
server = serve("01-monolith")
threading.Thread(target=lambda: [requests.get(server.url + "/products") for _ in range(100_000)], daemon=True).start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def kernel():
    """A process that serves, as a notebook's kernel does; and the number of its server's process."""
    group = {} if sys.platform == "win32" else {"start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, text=True, **group)
    yield process, int(process.stdout.readline())
    process.kill()
    process.communicate()


def test_a_server_is_gone_when_its_kernel_is_killed_under_load(kernel):
    process, server_pid = kernel

    process.kill()

    assert gone(server_pid, within_s=1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a group")
def test_an_interrupt_of_the_notebook_does_not_hit_the_server(kernel):
    process, server_pid = kernel

    os.killpg(process.pid, signal.SIGINT)   # what Jupyter's Interrupt does
    process.wait(10)

    assert process.returncode != 0
    assert gone(server_pid, within_s=1)   # it left with the kernel, and with no traceback of its own
