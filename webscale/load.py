"""Sends real requests at a real server, and says honestly how long each took.

    load(shop, rate=200, seconds=5)                open loop: a request every 5 ms, whatever the server does
    load(shop, clients=10, seconds=5)              closed loop: ten clients, each waits for its answer before it asks again
    load(shop, "browse", rate=ramp(50, 400))       a mix of requests, more and more of them

The generator is a process of its own. Latency counts from the moment a request was meant to be sent: a server that
stalls delays also those requests that a polite client would have held back.
"""
import ipaddress
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from webscale import results, traffic
from webscale.results import LoadResult
from webscale.runs import Plan

CONNECTIONS = 400 if sys.platform == "win32" else 1_000   # at most, unless told otherwise


@dataclass(frozen=True)
class Ramp:
    """A rate that grows evenly from the beginning of the run to its end."""

    begin: float
    end: float


def ramp(begin: float, end: float) -> Ramp:
    """A rate for `load` that goes evenly from `begin` to `end` requests a second."""
    return Ramp(positive("The beginning of the ramp", begin), positive("The end of the ramp", end))


def load(target: object, what: "str | traffic.Scenario" = "/products/7", *, rate: "float | Ramp | Sequence[float] | None" = None,
         clients: int | None = None, seconds: float = 5, arrivals: str = "constant", seed: int = 17, think_s: float = 0,
         timeout_s: float = 10, keep_alive: bool = True, connections: int = CONNECTIONS, effect_ms: float = 0,
         live: bool = False, i_may_load_this_host: bool = False) -> LoadResult:
    """What the run found; with live=True an awaitable of it, that draws while the run goes on.

    `target` is a server or its URL, `what` a path or a scenario (browse, buy, mixed). In an open loop `rate` is a number
    of requests a second, a ramp, or the seconds at which to send; `arrivals` are constant or poisson. With `effect_ms`,
    the size of what the run is to show, a run whose generator was too late for that is repeated once, and then raises
    NotMeasurable. ValueError for anything that cannot be run. Errors of connections are results, not exceptions.
    """
    if (rate is None) == (clients is None):
        raise ValueError("Say either rate=, requests a second whatever happens (open loop), "
                         "or clients=, who wait for their answers (closed loop).")
    host, port = address(getattr(target, "url", target), i_may_load_this_host)
    scenario = traffic.scenario(what)
    times = [] if rate is None else schedule(rate, positive("seconds", seconds), arrivals, seed)
    if rate is not None and not isinstance(rate, (int, float, Ramp)):
        seconds = max(times[-1], 1e-9)
    config = {
        "host": host, "port": port, "clients": 0 if clients is None else whole("clients", clients), "think_s": at_least_0("think_s", think_s),
        "seconds": positive("seconds", seconds), "timeout_s": positive("timeout_s", timeout_s), "keep_alive": keep_alive,
        "connections": clients or whole("connections", connections), "seed": seed, "live": live,
    }
    plan = Plan(scenario, config, times, effect_ms)
    if live:
        from webscale import live as view  # ipywidgets and Matplotlib: for those who look on
        return view.watched(plan)
    return plan.result()


def arrival_times(rate: float, seconds: float, arrivals: str = "constant", seed: int = 17) -> np.ndarray:
    """The seconds at which an open loop sends: evenly, or at random with that mean (poisson)."""
    if arrivals == "constant":
        return np.arange(round(rate * seconds)) / rate
    if arrivals == "poisson":
        random = np.random.default_rng(seed)
        times = np.cumsum(random.exponential(1 / rate, int(rate * seconds + 10 * np.sqrt(rate * seconds) + 20)))
        return times[times < seconds]
    raise ValueError(f"arrivals are constant or poisson, not {arrivals!r}.")


def schedule(rate: "float | Ramp | Sequence[float]", seconds: float, arrivals: str, seed: int) -> np.ndarray:
    """The seconds at which the run sends."""
    if isinstance(rate, Ramp):
        return ramp_times(rate, seconds)
    if isinstance(rate, (int, float)):
        times = arrival_times(positive("rate", rate), seconds, arrivals, seed)
    else:
        times = np.asarray(rate, dtype=float)
        if len(times) and (not np.all(np.isfinite(times)) or times[0] < 0 or np.any(np.diff(times) < 0)):
            raise ValueError("A schedule is a list of seconds from 0 on, none before the one in front of it.")
    if not len(times):
        raise ValueError(f"With a rate of {rate} for {seconds:g} s there is nothing to send: run longer, or send more.")
    return times


def ramp_times(rate: Ramp, seconds: float) -> np.ndarray:
    """The seconds at which requests are sent when the rate grows evenly: begin·t + (end − begin)·t²/2T is 0, 1, 2 …"""
    numbers = np.arange(int((rate.begin + rate.end) / 2 * seconds))
    growth = (rate.end - rate.begin) / seconds
    if growth == 0:
        return numbers / rate.begin
    return (np.sqrt(rate.begin**2 + 2 * growth * numbers) - rate.begin) / growth


# ------------------------------------------------------------------ several runs

def sweep(run: Callable[[float], LoadResult], over: Sequence[float], *, repeats: int = 1, seed: int = 17,
          knee_ms: float | None = None, progress: bool = True) -> "Sweep":
    """The runs at each value, in random order so that a busy moment of the machine does not fall on one end.

    With `knee_ms` the values are taken in their order, and none above the first whose p95 is higher than that.
    """
    values = [value for value in over for _ in range(repeats)]
    if not values:
        raise ValueError("A sweep needs at least one value to run at.")
    if knee_ms is None:
        np.random.default_rng(seed).shuffle(values)
    runs: list[tuple[float, LoadResult]] = []
    with progress_bar(len(values), progress) as step:
        for value in values:
            if knee_ms is not None and any(is_beyond(other, knee_ms) and at < value for at, other in runs):
                break
            runs.append((value, run(value)))
            step()
    return Sweep(tuple(sorted(runs, key=lambda pair: pair[0])))


def is_beyond(result: LoadResult, knee_ms: float) -> bool:
    """Whether the run's p95, or all of its requests' failure, says that the knee was passed."""
    return not len(result.done) or float(np.quantile(result.latency_ms, 0.95)) > knee_ms


@dataclass(frozen=True, repr=False)
class Sweep:
    """Runs at several values of something, lowest first."""

    runs: tuple[tuple[float, LoadResult], ...]

    @property
    def values(self) -> np.ndarray:
        """At which value each run took place."""
        return np.array([value for value, _ in self.runs])

    def p(self, percent: float) -> np.ndarray:
        """That percentile of each run, in ms."""
        return np.array([result.p(percent) for _, result in self.runs])

    @property
    def mean_ms(self) -> np.ndarray:
        """The mean latency of each run, in ms."""
        return np.array([result.mean_ms for _, result in self.runs])

    @property
    def rate(self) -> np.ndarray:
        """The answers a second of each run."""
        return np.array([result.rate for _, result in self.runs])

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs from {self.values[0]:g} to {self.values[-1]:g}>"


@contextmanager
def progress_bar(count: int, wanted: bool) -> Iterator[Callable[[], None]]:
    """A function that moves the bar by one; without a notebook, or unwanted, it does nothing."""
    if not wanted or "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        yield lambda: None
        return
    from IPython.display import display
    from ipywidgets import IntProgress
    bar = IntProgress(max=count, description=f"{count} runs")
    display(bar)

    def step() -> None:
        bar.value += 1
    try:
        yield step
    finally:
        bar.close()


# ------------------------------------------------------------------ what can be asked for

def address(url: object, allowed: bool) -> tuple[str, int]:
    """Host and port of the URL; ValueError for another machine's, unless the caller said that it may be loaded."""
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"Give a running server, or its URL such as http://127.0.0.1:8000; {url!r} is neither.")
    if not allowed and not is_loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} is another machine. Load only what is yours: if this is, "
                         "and its owner knows, say i_may_load_this_host=True.")
    return parts.hostname, parts.port or 80


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def positive(name: str, value: float) -> float:
    """The value; ValueError if it is no number above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a number above zero, not {value!r}.")
    return float(value)


def at_least_0(name: str, value: float) -> float:
    """The value; ValueError if it is no number from zero on."""
    return 0.0 if value == 0 and not isinstance(value, bool) else positive(name, value)


def whole(name: str, value: int) -> int:
    """The value; ValueError if it is no whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number above zero, not {value!r}.")
    return value


read = results.read
