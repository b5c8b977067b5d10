"""Replicas behind a balancer: who gets the connections, what they share, and what becomes of them."""
import shutil
import threading
from collections import Counter

import numpy as np
import psutil
import pytest

from webscale.load import load
from webscale.proxies import PROXIES
from webscale.servers import ServeError, serve
from webscale.theory import lindley

OURS = ["round-robin", "random", "least-connections", "power-of-two"]


def served_by(shop, sessions=1, requests=1):
    """How many requests each replica answered."""
    clients = [shop.session() for _ in range(sessions)]
    numbers = Counter(client.get(f"{shop.url}/livez").headers["x-served-by"] for client in clients for _ in range(requests))
    for client in clients:
        client.close()
    return numbers


@pytest.mark.parametrize("balance", OURS)
def test_each_policy_uses_all_replicas(balance):
    with serve("01-monolith", replicas=2, balance=balance) as shop:
        assert set(served_by(shop, sessions=24)) == {"1", "2"}


@pytest.mark.parametrize("balance", ["round-robin", "least-connections"])
def test_kept_connections_lie_evenly_on_the_replicas(balance):
    # Workers that share one listening socket may get 15 of 16 kept connections and none: two that work like one.
    with serve("01-monolith", replicas=2, balance=balance) as shop:
        assert served_by(shop, sessions=16, requests=5) == {"1": 40, "2": 40}


def test_a_kept_connection_does_not_wait_for_acknowledgements():
    # Without TCP_NODELAY each answer on a kept connection takes 44 ms.
    with serve("01-monolith", replicas=2) as shop:
        result = load(shop, "/livez", rate=50, seconds=1)

    assert result.p50_ms < 20


@pytest.mark.parametrize("balance", PROXIES)
def test_a_proxy_that_is_installed_takes_the_balancers_place(balance):
    if not shutil.which(PROXIES[balance].program):
        pytest.skip(f"{balance} is not installed here")
    with serve("01-monolith", replicas=2, balance=balance) as shop:
        result = load(shop, rate=100, seconds=0.5)
        assert set(served_by(shop, sessions=8)) == {"1", "2"}

    assert result.errors == {}


def test_replicas_share_their_database():
    with serve("01-monolith", replicas=2, balance="round-robin") as shop:
        who = {"email": "pat@example.com", "password": "correct horse"}
        with shop.session() as one, shop.session() as other:
            created = one.post(f"{shop.url}/accounts", json=who)
            logged_in = other.post(f"{shop.url}/session", json=who)

    assert created.ok and logged_in.ok
    assert created.headers["x-served-by"] != logged_in.headers["x-served-by"]


def test_a_replica_can_be_added_and_removed_while_load_runs():
    with serve("01-monolith", replicas=1) as shop:
        changes = [threading.Timer(0.5, shop.add), threading.Timer(1.5, shop.remove)]
        [change.start() for change in changes]
        result = load(shop, rate=100, seconds=2.5, keep_alive=False)
        [change.join() for change in changes]
        assert len(shop.replicas) == 1

    assert result.failed <= 1   # what is on its way at the very moment may be lost


def test_a_replica_that_dies_is_passed_over():
    with serve("01-monolith", replicas=2) as shop:
        shop.replicas[0].kill()
        result = load(shop, rate=50, seconds=0.5, keep_alive=False)

    assert result.failed == 0


def test_nothing_is_left_after_a_stop():
    shop = serve("01-monolith", replicas=3)
    processes = [psutil.Process(server.pid) for server in (shop.balancer, *shop.replicas)]

    shop.stop()

    assert not any(process.is_running() for process in processes)
    assert repr(shop).endswith("stopped>")


def test_an_emulated_machine_serves_one_request_at_a_time():
    with serve("01-monolith", service_ms=50) as shop:
        result = load(shop, "/livez", rate=[0, 0, 0, 0])

    assert np.sort(result.latency_ms) == pytest.approx([50, 100, 150, 200], abs=15)


def test_emulated_replicas_add_their_rates():
    with serve("01-monolith", replicas=1, service_ms=20) as shop:
        one = load(shop, "/livez", clients=12, seconds=1).rate
        three = load(shop.scale(3), "/livez", clients=12, seconds=1).rate

    assert one == pytest.approx(50, rel=0.1)
    assert three == pytest.approx(3 * one, rel=0.15)


def test_writes_that_hold_their_locks_take_turns():
    with serve("01-monolith", write_ms=20) as shop:
        load(shop, "buy", rate=5, seconds=0.5)   # its users sign up
        result = load(shop, "buy", clients=8, seconds=2)

    assert 25 < result.rate < 50 and result.failed == 0


def test_latency_on_an_emulated_machine_is_what_lindley_says():
    with serve("01-monolith", service_ms=20) as shop:
        result = load(shop, "/livez", rate=35, seconds=5, arrivals="poisson")
        service_s = 1 / load(shop, "/livez", clients=8, seconds=1.5).rate

    expected_ms = 1e3 * lindley(np.sort(result.intended), service_s).mean()
    assert result.mean_ms == pytest.approx(expected_ms, rel=0.2)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"replicas": 0}, "replicas must be a whole number from 1 to 64, not 0"), ({"replicas": 2.0}, "replicas must be"),
    ({"replicas": 2, "balance": "fair"}, "There is no balancer 'fair'; there are: round-robin"),
    ({"service_ms": -1}, "service_ms must be milliseconds"), ({"service_ms": 5, "service": "slow"}, "fixed or exponential"),
    ({"write_ms": "1"}, "write_ms must be"),
])
def test_what_cannot_be_served_says_why(wrong, words):
    with pytest.raises(ServeError, match=words):
        serve("01-monolith", **wrong)


def test_a_proxy_that_is_not_installed_names_the_way_out(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ServeError, match="nginx is not installed here. Install it, or take one of round-robin"):
        serve("01-monolith", replicas=2, balance="nginx")


def test_the_last_replica_stays():
    with serve("01-monolith", replicas=1) as shop, pytest.raises(ServeError, match="One replica at least must stay"):
        shop.remove()
