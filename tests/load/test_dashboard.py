"""The dashboard without a browser: what its sliders do is a plain call, and nothing is left of it."""
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from rude_servers import generators

from webscale import dashboard as module
from webscale.dashboard import Latest, dashboard
from webscale.servers import ServeError

LEVERS = {"empty": {"seed": "none"}, "broken": {"no_such_setting": 1}}
SCRIPT = """
import time
from webscale.dashboard import dashboard
board = dashboard(seconds=60).start()
time.sleep(3)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def board(monkeypatch):
    """A dashboard whose runs begin soon and last half a second."""
    monkeypatch.setattr(module, "SETTLED_S", 0.1)
    board = dashboard(LEVERS, seconds=0.5)
    yield board
    board.stop()


def running():
    """The numbers of the generators' processes."""
    try:
        return [process.pid for process in generators()]
    except psutil.Error:   # it was ending while we looked
        return []


def until(happened, within_s=10):
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_setting_makes_a_run(board):
    result = board.set(rate=30, replicas=2).wait()

    assert (result.offered, result.failed, result.loop) == (15, 0, "open")
    assert result.latency_ms.min() >= 20   # an emulated machine
    assert repr(board.shop).endswith("2 replicas behind least-connections>")


def test_nothing_runs_before_that(board):
    assert (board.result, board.shop, board.latest.thread) == (None, None, None)
    assert board.wait() is None


def test_moves_that_follow_each_other_make_one_run(board, monkeypatch):
    monkeypatch.setattr(module, "SETTLED_S", 0.4)
    board.set(rate=30).wait()
    pids = set()
    for rate in (31, 32, 33, 34):
        board.set(rate=rate)
        end = time.monotonic() + 0.2
        until(lambda end=end: pids.update(running()) or time.monotonic() > end)
    until(lambda: pids.update(running()) or board.result.offered == 17)

    assert len(pids) == 1


def test_a_new_setting_ends_the_run_before_and_there_are_never_two(board):
    board.seconds, counted, pids = 30, [], set()
    for rate in (20, 40):
        board.set(rate=rate)
        until(lambda rate=rate: counted.append(running()) or pids.update(counted[-1]) or len(pids) == rate // 20)
    time.sleep(1)
    board.stop()

    assert max(map(len, counted)) == 1
    assert board.result.rate == pytest.approx(40, rel=0.3)


def test_another_rate_keeps_the_shop_and_other_replicas_do_not(board):
    first = board.set(rate=20).wait() and board.shop
    same = board.set(rate=25).wait() and board.shop
    other = board.set(replicas=2).wait() and board.shop

    assert first is same is not other
    assert (first.alive, other.alive) == (False, True)


def test_a_lever_gives_the_shop_its_settings(board):
    assert board.set(rate=20, on={"empty"}).wait().errors == {"status 404": 10}
    assert board.set(on=()).wait().errors == {}


def test_a_lever_comes_on_top_of_the_shop_s_settings():
    board = dashboard({"quick": {"paging": "key"}}, settings={"paging": "offset", "compress": "no"}, service_ms=0, seconds=0.5)
    board.set(rate=20, on={"quick"}).wait()
    environment = psutil.Process(board.shop.replicas[0].pid).environ()
    board.stop()

    assert (environment["SHOP_PAGING"], environment["SHOP_COMPRESS"]) == ("key", "no")
    assert board.figure() and "emulated" not in board.words(board.wanted)


def test_stop_leaves_nothing_but_what_was_found(board):
    board.seconds = 30
    board.set(rate=50)
    until(running)
    shop = board.shop
    time.sleep(1)
    board.stop()

    assert (generators(), shop.alive, board.shop, board.latest.thread) == ([], False, None, None)
    assert board.result.facts["stopped"] and board.result.offered >= 20


def test_what_is_stopped_while_its_shop_starts_never_runs(board):
    board.start()
    until(lambda: board.latest.busy)
    board.stop()

    assert (board.result, board.shop, board.panel.button.description) == (None, None, "Start")


def test_a_closed_widget_takes_its_run_with_it(board):
    board.seconds = 30
    board.start()
    until(running)
    board.panel.close()

    assert (running(), board.shop, board.latest.thread) == ([], None, None)


def test_sliders_and_switches_do_the_same(board):
    board.panel.rate.value = 36
    board.panel.replicas.value = 2
    board.panel.levers["empty"].value = True

    assert board.wait().errors == {"status 404": 18}
    assert repr(board.shop).endswith("2 replicas behind least-connections>")


def test_sliders_and_switches_follow_a_plain_call(board):
    board.set(rate=35, replicas=4, on={"empty"}).stop()

    panel = board.panel
    assert (panel.rate.value, panel.replicas.value, panel.switched_on) == (35, 4, {"empty"})


def test_the_button_starts_and_stops(board):
    board.seconds = 30
    board.panel.button.click()
    until(running)
    label = board.panel.button.description
    board.panel.button.click()

    assert (label, board.panel.button.description) == ("Stop", "Start")
    assert generators() == [] and board.result.facts["stopped"]


def test_the_picture_moves_while_it_runs(board):
    board.seconds, pictures = 1, []
    board.panel.image.observe(lambda change: pictures.append(change.new), "value")
    board.set(rate=50).wait()

    assert len(pictures) >= 4
    assert all(bytes(picture).startswith(b"\x89PNG") for picture in pictures)


def test_the_last_run_has_a_picture_that_stays(board):
    board.set(rate=20, on={"empty"}).wait()

    assert "\n(open loop, n = 10, 1 replica, empty, emulated)" in board.figure().get_suptitle()


@pytest.mark.parametrize(("wrong", "words"), [
    ({"rate": 401}, "rate is at most 400 here, not 401"),
    ({"rate": 0}, "rate must be a whole number above zero, not 0"),
    ({"replicas": 3}, "replicas are 1, 2, 4, 8, not 3"),
    ({"on": {"cash"}}, "There is no lever 'cash'; there are: empty, broken"),
])
def test_what_cannot_be_set_is_refused_and_changes_nothing(board, wrong, words):
    with pytest.raises(ValueError, match=words):
        board.set(**wrong)

    assert board.wanted == module.Wanted(50) and board.latest.thread is None


def test_a_shop_that_does_not_start_is_told_and_the_next_one_runs(board):
    with pytest.raises(ServeError, match="no setting SHOP_NO_SUCH_SETTING"):
        board.set(on={"broken"}).wait()
    told = board.panel.status.value

    assert "SHOP_NO_SUCH_SETTING" in told
    assert board.set(on=(), rate=20).wait().failed == 0


def test_a_new_dashboard_ends_what_another_runs(board):
    board.seconds = 30
    board.start()
    until(running)
    with_shop = board.shop
    dashboard()

    assert (generators(), with_shop.alive) == ([], False)


def test_to_start_one_dashboard_ends_what_another_runs(board):
    board.seconds = 30
    other = dashboard(seconds=30)
    board.start()
    until(running)
    other.start()
    until(lambda: other.latest.busy and len(running()) == 1)
    other.stop()

    assert (board.shop, board.latest.thread) == (None, None)


def test_a_shop_that_nobody_loads_is_stopped(board, monkeypatch):
    monkeypatch.setattr(module, "IDLE_S", 0.5)
    board.set(rate=20).wait()
    shop = board.shop

    until(lambda: board.latest.thread is None)

    assert not shop.alive


@pytest.mark.skipif(sys.platform == "win32", reason="There is no SIGKILL")
def test_a_killed_kernel_leaves_nothing_behind():
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    gone, alive = psutil.wait_procs(children, timeout=5)
    assert len(gone) == 3 and alive == []   # balancer, replica, generator


def test_in_text_it_is_one_line_that_does_not_change(board):
    before = board._repr_mimebundle_()["text/plain"]
    board.set(rate=20).wait()

    assert before == board._repr_mimebundle_()["text/plain"] == \
        "<load dashboard of 01-monolith: rate, replicas, empty, broken>"


def test_of_many_wishes_the_last_is_done_and_one_at_a_time():
    done, begin = [], threading.Event()

    def do(what, due):
        begin.set()
        until(due)
        done.append(what)

    latest = Latest(do, lambda: done.append("tidied"))
    latest.ask("first")
    begin.wait(5)
    for wish in ("second", "third", None):
        latest.ask(wish)
    latest.wait()

    assert done == ["first", "tidied"]
    assert latest.thread is None
