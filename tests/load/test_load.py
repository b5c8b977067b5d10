"""Runs against servers that behave: what was sent, when, and what is said of it."""
import _thread
import threading

import numpy as np
import pytest
from rude_servers import generators, politely, rude

from webscale.load import Ramp, arrival_times, load, ramp, ramp_times, read, sweep
from webscale.results import TooFewSamples
from webscale.servers import serve
from webscale.traffic import Scenario, Step


def test_an_open_loop_sends_every_request_of_its_schedule(shop):
    result = load(shop, rate=200, seconds=1)

    assert (result.offered, len(result.done), result.failed, result.loop) == (200, 200, 0, "open")
    assert np.allclose(np.sort(result.intended), np.arange(200) / 200)
    assert (result.sent >= result.intended).all() and (result.done > result.sent).all()


def test_a_closed_loop_has_at_most_one_request_a_client_under_way(shop):
    result = load(shop, clients=3, seconds=0.5)

    events = sorted([(at, 1) for at in result.sent] + [(at, -1) for at in result.done])
    assert max(np.cumsum([step for _, step in events])) == 3
    assert result.loop == "closed" and result.failed == 0


def test_clients_who_think_ask_less_often(shop):
    result = load(shop, clients=5, think_s=0.1, seconds=1)

    assert 25 <= result.offered <= 50


def test_a_result_is_one_line(shop):
    result = load(shop, rate=300, seconds=1)

    assert repr(result).startswith("<300 sent, 0 failed, ")
    assert " req/s, p95 " in repr(result)


def test_poisson_arrivals_are_the_same_for_the_same_seed_and_vary_as_they_should():
    times = arrival_times(1_000, 20, "poisson", seed=5)

    assert (times == arrival_times(1_000, 20, "poisson", seed=5)).all()
    assert len(times) == pytest.approx(20_000, rel=0.03)
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("begin", "end"), [(10, 100), (100, 10), (50, 50)])
def test_a_ramp_has_the_rates_that_it_names(begin, end):
    times = ramp_times(Ramp(begin, end), 10)

    assert len(times) == int((begin + end) / 2 * 10)
    assert np.count_nonzero(times < 1) == pytest.approx(begin + (end - begin) / 20, abs=1.5)
    assert np.count_nonzero(times >= 9) == pytest.approx(end - (end - begin) / 20, abs=1.5)


def test_a_ramp_and_a_schedule_can_be_sent(shop):
    assert load(shop, rate=ramp(50, 150), seconds=1).offered == 100
    assert load(shop, rate=[0, 0.1, 0.1, 0.2]).offered == 4


@pytest.mark.parametrize("keep_alive", [True, False])
def test_connections_are_kept_or_made_anew(shop, keep_alive):
    result = load(shop, rate=100, seconds=1, keep_alive=keep_alive)

    assert result.failed == 0
    assert (result.facts["connections"] == 100) != keep_alive


def test_what_cannot_get_a_connection_waits_and_the_wait_counts():
    def slowly(connection):
        while connection.recv(65_536):
            threading.Event().wait(0.1)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with rude(slowly) as url:
        result = load(url, "/", rate=20, seconds=1, connections=1)

    assert result.facts["connections"] == 1
    assert result.latency_ms.max() > 700 and np.median(result.stopwatch_ms) < 200


def test_a_mix_holds_its_shares_and_is_the_same_for_the_same_seed(shop):
    mix = Scenario("two", (Step("GET", "/livez", logged_in=False, weight=3), Step("GET", "/readyz", logged_in=False)))
    one, other = (load(shop, mix, rate=400, seconds=1, seed=3) for _ in range(2))

    assert np.bincount(one.step)[0] == pytest.approx(300, abs=40)
    assert np.bincount(one.step).tolist() == np.bincount(other.step).tolist()


@pytest.mark.parametrize("scenario", ["browse", "buy", "mixed"])
def test_the_shops_scenarios_run_without_an_error(scenario):
    with serve("01-monolith") as shop:
        result = load(shop, scenario, rate=150, seconds=1)

    assert result.errors == {}
    assert len(set(result.step)) >= {"browse": 4, "buy": 1, "mixed": 5}[scenario]


def test_a_run_can_be_saved_and_read(shop, tmp_path):
    result = load(shop, rate=50, seconds=0.5)

    again = read(result.save(tmp_path / "run"))

    assert repr(again) == repr(result)
    assert (again.latency_ms == result.latency_ms).all() and again.facts == result.facts


def test_a_percentile_needs_samples_enough(shop):
    result = load(shop, rate=200, seconds=1)

    assert result.p(95) <= result.p(100)
    with pytest.raises(TooFewSamples, match=r"p99.9 needs 10,000 samples, and there are 200"):
        result.p(99.9)


def test_the_percentile_text_is_what_hdrhistograms_readers_expect(shop):
    lines = load(shop, rate=200, seconds=1).hgrm().splitlines()

    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = np.array([line.split() for line in lines[2:-2]], dtype=float)
    assert (np.diff(rows[:, :3], axis=0) >= 0).all()
    assert rows[-1].tolist()[1:] == [1, 200, np.inf]
    assert "Total count    =          200]" in lines[-1]


def test_a_generator_that_is_asked_for_too_much_says_so():
    with rude(politely) as url:
        result = load(url, "/", rate=150_000, seconds=0.3, connections=8)

    assert result.generator_limited
    assert result.sent_rate < 0.95 * 150_000
    assert ", GENERATOR-LIMITED: " in repr(result)


def test_a_stall_of_the_server_shows_in_an_open_loop_and_hides_in_a_closed_one():
    def freezing(connection):
        started = threading.Event()
        for number in range(10**6):
            if not connection.recv(65_536):
                return
            if freeze.is_set():
                started.wait(0.5)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    freeze = threading.Event()
    with rude(freezing) as url:
        p99 = {}
        for loop in ({"rate": 400}, {"clients": 4}):
            timers = [threading.Timer(1, freeze.set), threading.Timer(1.5, freeze.clear)]
            [timer.start() for timer in timers]
            p99[[*loop][0]] = load(url, "/", seconds=3, connections=4, **loop).p99_ms if "rate" in loop else \
                load(url, "/", seconds=3, **loop).p99_ms
            [timer.join() for timer in timers]

    assert p99["rate"] > 10 * p99["clients"]


def test_an_interrupt_ends_the_run_and_the_generator(shop):
    threading.Timer(0.8, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        load(shop, rate=50, seconds=30)

    assert generators() == []


def test_a_sweep_is_sorted_and_took_place_in_random_order(shop):
    order = []

    def run(rate):
        order.append(rate)
        return load(shop, rate=rate, seconds=0.2)

    found = sweep(run, [50, 100, 150, 200], repeats=2)

    assert found.values.tolist() == [50, 50, 100, 100, 150, 150, 200, 200] != order
    assert found.rate[-1] > found.rate[0]


def test_a_sweep_stops_behind_the_knee():
    with serve("01-monolith", service_ms=20) as slow:
        found = sweep(lambda rate: load(slow, rate=rate, seconds=1), [20, 80, 90, 100], knee_ms=100)

    assert found.values.tolist() == [20, 80]
