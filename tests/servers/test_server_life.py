"""What a server does while it runs, and what is left of it afterwards: nothing."""
import os
import shutil
import subprocess
import sys

import psutil
import pytest
import requests

from webscale.servers import EXAMPLES, serve
from webscale.tracing import trace

HELD = "/hold?seconds=0.3"


def test_each_server_has_its_own_port_and_settings(tiny):
    with serve(tiny, settings={"name": "one"}) as one, serve(tiny, settings={"name": "two"}) as two:
        names = [requests.get(server.url + "/settings", timeout=5).json() for server in (one, two)]

    assert names == [{"TINY_NAME": "one"}, {"TINY_NAME": "two"}]
    assert one.port != two.port


def test_a_server_listens_to_this_machine_only(tiny):
    with serve(tiny) as server:
        listening = [each.laddr for each in psutil.Process(server.pid).net_connections() if each.status == "LISTEN"]

    assert listening == [("127.0.0.1", server.port)]


def test_a_stopped_server_is_not_there_any_more(tiny):
    server = serve(tiny)
    server.stop()

    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)


def test_a_with_block_stops_its_server_even_if_it_raises(tiny):
    with pytest.raises(RuntimeError), serve(tiny) as server:
        raise RuntimeError

    assert repr(server) == "<00-tiny, stopped>"


def test_stop_lets_half_a_response_become_a_whole_one(tiny):
    server = serve(tiny)
    answer = requests.get(server.url + HELD, stream=True, timeout=5)
    server.stop()

    assert answer.content == b"first half, second half"
    assert server.process.returncode == 0


def test_stop_runs_the_end_of_the_lifespan(example_of, tmp_path):
    ended = tmp_path / "ended"
    app = f"""
import contextlib, pathlib
from starlette.applications import Starlette

@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    pathlib.Path({str(ended)!r}).touch()

create_app = lambda settings: Starlette(lifespan=lifespan)
"""
    serve(example_of(app)).stop()

    assert ended.exists()


def test_kill_leaves_a_response_in_the_middle(tiny):
    server = serve(tiny)
    answer = requests.get(server.url + HELD, stream=True, timeout=5)
    server.kill()

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        assert not answer.content   # it is read when it is asked for


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_servers_folder_goes_with_it(tiny, end):
    server = serve(tiny)
    was_there = server.log.exists()
    getattr(server, end)()

    assert was_there
    assert not server.scratch.exists()


def test_a_server_that_died_says_with_which_code_until_it_is_stopped(tiny):
    with serve(tiny) as server:
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url + "/die", timeout=5)
        server.process.wait(5)

        assert repr(server) == "<00-tiny, died with code 3>"
    assert repr(server) == "<00-tiny, stopped>"


def test_what_an_application_prints_is_in_the_log_at_once_and_in_full(tiny, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")   # as poor as the terminal of some machines
    with serve(tiny) as server:
        requests.get(server.url + "/say", params={"words": "50 € → Pat"}, timeout=5)

        assert server.log.read_text("utf-8") == "50 € → Pat\n"


def test_hosts_that_needed_no_proxy_before_still_need_none(tiny, monkeypatch):
    monkeypatch.setenv("no_proxy", "example.com")
    with serve(tiny), serve(tiny):
        assert os.environ["no_proxy"] == "example.com,127.0.0.1"


def test_a_servers_own_session_asks_no_proxy_whatever_the_environment_says(tiny, monkeypatch):
    with serve(tiny) as server, server.session() as session:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")   # where nobody listens

        assert session.get(server.url + "/settings", timeout=5).ok


def test_the_trace_of_a_request_is_kept_with_the_server():
    with serve("01-monolith") as shop:
        seen = trace(shop, "GET", "/products/1")

        assert [record["trace_id"] for record in shop.traces] == [seen.id]


def test_an_edited_copy_of_the_shop_is_served_as_it_is(tmp_path):
    copy = shutil.copytree(EXAMPLES / "01-monolith", tmp_path / "my-shop")
    limits = copy / "shop" / "server.py"
    limits.write_text(limits.read_text("utf-8").replace("32_768", "512"), "utf-8")
    with serve(copy) as shop:
        answer = requests.get(f"{shop.url}/products/1", headers={"X-Large": "x" * 1_000}, timeout=5)

    assert answer.status_code == 431


def test_nothing_is_left_open_and_nobody_is_warned(tiny):
    script = f"""
from pathlib import Path
from webscale.servers import serve
one, two, three, four = (serve(Path({str(tiny)!r})) for _ in range(4))
one.stop(); two.kill(); three = None   # and four stays until the end
"""
    run = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", script], capture_output=True, timeout=60, check=False)

    assert (run.returncode, run.stderr.decode()) == (0, "")
