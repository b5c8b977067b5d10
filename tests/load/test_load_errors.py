"""Servers that do not behave, and runs that cannot be: a result that says what happened, or an error that says what to do."""
import threading

import numpy as np
import pytest
from rude_servers import OK, generators, rude

from webscale import runs
from webscale.load import load
from webscale.servers import serve
from webscale.traffic import Scenario, Step


def half(connection):
    connection.recv(65_536)
    connection.sendall(OK[:20])


def nonsense(connection):
    while connection.recv(65_536):
        connection.sendall(b"what do you want?\r\n")


def silence(connection):
    while connection.recv(65_536):
        pass


@pytest.mark.parametrize(("server", "kind"), [(half, "closed"), (nonsense, "nonsense"), (silence, "timeout")])
@pytest.mark.parametrize("loop", [{"rate": 40}, {"clients": 2}])
def test_what_goes_wrong_is_counted_by_its_kind(server, kind, loop):
    with rude(server) as url:
        result = load(url, "/", seconds=0.5, timeout_s=0.4, **loop)

    assert set(result.errors) == {kind}
    assert result.failed == result.offered > 0
    assert "0 req/s" in repr(result) and "nan" not in repr(result)


@pytest.mark.parametrize("loop", [{"rate": 40}, {"clients": 2}])
def test_nobody_listens(loop):
    with rude(silence) as url:
        pass

    result = load(url, "/", seconds=0.5, **loop)

    assert set(result.errors) == {"refused"}
    with pytest.raises(ValueError, match="mean needs an answer"):
        result.mean_ms


def test_a_server_that_dies_in_the_middle_leaves_what_was_before():
    shop = serve("01-monolith")
    threading.Timer(0.8, shop.kill).start()

    result = load(shop, rate=100, seconds=1.5)

    assert 30 < len(result.done) < 120
    assert set(result.errors) <= {"refused", "reset", "closed"} and result.failed + len(result.done) == 150


def test_an_answer_with_a_bad_status_is_a_failure_with_a_latency(shop):
    result = load(shop, "/nothing-here", rate=50, seconds=0.5)

    assert result.errors == {"status 404": 25}
    assert len(result.latency_ms) == 25


def test_a_server_that_closes_after_each_answer_is_no_failure():
    def once(connection):
        connection.recv(65_536)
        connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with rude(once) as url:
        result = load(url, "/", rate=50, seconds=0.5)

    assert result.failed == 0 and result.facts["connections"] == 25


@pytest.mark.parametrize(("wrong", "words"), [
    ({}, "Say either rate="), ({"rate": 5, "clients": 5}, "Say either rate="),
    ({"rate": -1}, "rate must be a number above zero, not -1"), ({"rate": 0}, "rate must be"),
    ({"rate": float("nan")}, "not nan"), ({"clients": 2.5}, "clients must be a whole number"),
    ({"clients": 0}, "clients must be"), ({"rate": 5, "seconds": 0}, "seconds must be a number above zero"),
    ({"rate": 1, "seconds": 0.1}, "nothing to send"), ({"rate": 5, "arrivals": "sometimes"}, "constant or poisson"),
    ({"rate": [3, 2, 1]}, "none before the one in front"), ({"rate": []}, "nothing to send"),
    ({"rate": 5, "timeout_s": -1}, "timeout_s must be"), ({"clients": 1, "think_s": -1}, "think_s must be"),
])
def test_a_run_that_cannot_be_says_what_to_do(shop, wrong, words):
    with pytest.raises(ValueError, match=words):
        load(shop, **wrong)


@pytest.mark.parametrize(("what", "words"), [
    ("shopping", "There is no scenario 'shopping'; there are: browse, buy, mixed"),
    (Scenario("none", ()), "asks for nothing"), (Scenario("never", (Step("GET", "/", weight=0),)), "asks for nothing"),
    (Scenario("strangers", (Step("GET", "/history"),)), "needs users: say users=8, or logged_in=False"),
])
def test_a_scenario_that_cannot_be_run_is_refused(shop, what, words):
    with pytest.raises(ValueError, match=words):
        load(shop, what, rate=10)


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://example.com"])
def test_another_machine_is_loaded_only_when_the_caller_says_so(url):
    with pytest.raises(ValueError, match="say i_may_load_this_host=True"):
        load(url, "/", rate=1)


@pytest.mark.parametrize("target", ["127.0.0.1:8000", None, "https://127.0.0.1"])
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(ValueError, match="Give a running server, or its URL"):
        load(target, "/", rate=1)


def test_a_run_too_late_for_its_effect_is_repeated_once_and_then_not_measurable(shop):
    with pytest.raises(runs.NotMeasurable, match=r"effect of 0.001 ms cannot be shown now: its sends were .* and before"):
        load(shop, rate=400, seconds=1, effect_ms=0.001)


def test_a_generator_that_breaks_says_its_last_words(shop, monkeypatch):
    monkeypatch.setattr(runs, "GENERATOR", "webscale.no_such_module")

    with pytest.raises(RuntimeError, match="No module named webscale.no_such_module"):
        load(shop, rate=10, seconds=1)

    assert generators() == []


def test_no_figure_is_ever_nan(shop):
    result = load(shop, rate=100, seconds=0.5)

    for values in (result.latency_ms, result.stopwatch_ms, result.lateness_ms):
        assert np.isfinite(values).all()
