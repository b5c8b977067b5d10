"""What the load generator can do, and whether what it says is true: python tests/benchmarks/bench_load.py [NAME ...]

    closed    requests/s of a closed loop against nginx's static answer, over those of wrk and of Locust in one process
    starlette the same against bare Starlette on one uvicorn worker, over those of wrk
    open      what an open loop sends, how late, and for how much CPU
    delays    its percentiles beside those of a server that notes how long it really took
    freeze    its p99 of a server that stands still for a second, beside the exact one and a closed loop's
    lindley   mean latency of one emulated machine beside Lindley's recursion on the same arrivals
    balancer  CPU of our own balancer for each request, and how long one more replica takes

nginx, wrk (Debian's packages) and Locust are left out where they are not installed. Floors are for a quiet machine.
"""
import asyncio
import csv
import importlib.util
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

try:   # asyncio's own loop needs 60 ms for the 500 connections that wait at the end of the freeze
    from uvloop import run
except ImportError:   # Windows
    from asyncio import run

from webscale import theory
from webscale.beyond import locustfile
from webscale.load import load
from webscale.proxies import free_port
from webscale.servers import serve

ROUNDS = 5         # with the generators in turn
SECONDS = 2        # of each generator in a round
CONNECTIONS = 32
OF_WRK = 0.7             # our floor against nginx,
TIMES_LOCUST = 5         # the same,
OF_WRK_STARLETTE = 0.85  # and against Starlette

RATES = (200, 1_000, 2_000, 4_000)   # requests/s of the open loops
OPEN_S = 5
OFF_RATE = 0.001   # of the rate
LATE_MS = 0.25     # p99
MOST_CPU = 0.55    # of a core, at the highest of the rates

DELAY_S, SPREAD = 0.02, 0.5   # median and sigma of the lognormal delays
DELAY_RATE, DELAYS_S = 200, 15
OFF_DELAY = 0.03

FREEZE_RATE, FREEZE_RUN_S = 500, 8
FREEZE_AT_S, FREEZE_S = 3, 1
OFF_FREEZE = 0.05
FREEZE_CLIENTS = 10

BALANCER_US = 30   # for each request
ADD_S = 0.6
ADDS = 5

PEERS = Path(__file__).with_name("peers.py")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NGINX = """
worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""


# ------------------------------------------------------------------ servers in processes of their own

class Late(asyncio.Protocol):
    """Answers after a drawn delay, and notes how long it really took."""

    def __init__(self, took: list[float], draws: random.Random) -> None:
        self.took, self.draws = took, draws

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        delay = self.draws.lognormvariate(math.log(DELAY_S), SPREAD)
        asyncio.get_running_loop().call_later(delay, self.answer, time.perf_counter())

    def answer(self, began: float) -> None:
        self.transport.write(ANSWER)
        self.took.append(time.perf_counter() - began)


class Freezing(Late):
    """Answers at once, but stands still for a second when the first request is long enough ago."""

    def data_received(self, data: bytes) -> None:
        if not self.took:
            asyncio.get_running_loop().call_later(FREEZE_AT_S, time.sleep, FREEZE_S)
        self.answer(time.perf_counter())


PROTOCOLS = {"late": Late, "freezing": Freezing}


async def be_server(protocol: type[Late]) -> None:
    """Nothing is returned; served until the input ended, and said how long each answer took."""
    loop, took, draws = asyncio.get_running_loop(), [], random.Random(17)
    server = await loop.create_server(lambda: protocol(took, draws), "127.0.0.1", 0, backlog=2_048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(took), flush=True)


@contextmanager
def process(command: list, **more: object):
    """The running process; it is gone at the end of the block."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def own_server(name: str):
    """The URL of one of the servers above, and a function that ends it and says how long each of its answers took."""
    with process([sys.executable, __file__, "serve", name]) as running:
        port = running.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}", lambda: json.loads(running.communicate(timeout=10)[0])


@contextmanager
def bare_starlette():
    """The URL of bare Starlette's answer on one uvicorn worker."""
    with process([sys.executable, PEERS, "bare", "no database"], stderr=subprocess.DEVNULL) as running:
        yield f"http://127.0.0.1:{running.stdout.readline().strip()}"


@contextmanager
def nginx():
    """The URL of nginx with one worker, which answers "ok"."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nginx.conf"
        path.write_text(NGINX.format(folder=folder, port=port), "utf-8")
        with process([NGINX_PROGRAM, "-e", "stderr", "-p", folder, "-c", path, "-g", "daemon off;"]) as running:
            try:
                wait_for(f"http://127.0.0.1:{port}")
                yield f"http://127.0.0.1:{port}"
            finally:
                running.terminate()   # killed, it would leave its worker behind
                running.wait(timeout=10)


def wait_for(url: str) -> None:
    """Nothing is returned; the server has answered. SystemExit if it does not."""
    deadline = time.monotonic() + 5
    while load(url, "/", rate=[0]).failed:
        if time.monotonic() > deadline:
            sys.exit(f"{url} does not answer.")


NGINX_PROGRAM = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")   # users' PATHs seldom name /usr/sbin


# ------------------------------------------------------------------ generators, each in a process of its own

def ours(url: str, path: str) -> float:
    """The requests/s of our closed loop."""
    result = load(url, path, clients=CONNECTIONS, seconds=SECONDS)
    assert not result.failed, result.errors
    return result.rate


def wrk(url: str, path: str) -> float:
    """The requests/s of wrk."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", url + path]
    report = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Non-2xx" not in report, report
    return float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])


def locust(url: str, path: str) -> float:
    """The requests/s of Locust's FastHttpUser in one process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "-f", locustfile(path, Path(folder) / "locustfile.py"), "--headless",
                   "-H", url, "-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "-t", f"{SECONDS}s", "--csv", "run"]
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
        with open(Path(folder) / "run_stats.csv", encoding="utf-8", newline="") as file:
            return next(float(row["Requests/s"]) for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def peers() -> dict:
    """The generators to compare with that are installed."""
    there = {wrk: shutil.which("wrk"), locust: importlib.util.find_spec("locust")}
    for peer in (peer for peer, found in there.items() if not found):
        say(f"{peer.__name__} is not installed and left out")
    return {peer.__name__: peer for peer, found in there.items() if found}


def in_turn(url: str, path: str, others: dict) -> dict[str, list[float]]:
    """The requests/s of each generator in each round, ours among them."""
    generators = {"ours": ours, **others}
    rounds = [{name: run(url, path) for name, run in generators.items()} for _ in range(ROUNDS)]
    return {name: [each[name] for each in rounds] for name in generators}


# ------------------------------------------------------------------ measurements

def closed() -> None:
    """Nothing is returned; how our closed loop compares against nginx was said."""
    with nginx() as url:
        compare("nginx", in_turn(url, "/", peers()), {"wrk": OF_WRK, "locust": TIMES_LOCUST})


def starlette() -> None:
    """Nothing is returned; how our closed loop compares against Starlette was said."""
    with bare_starlette() as url:
        others = {name: run for name, run in peers().items() if name == "wrk"}
        compare("bare Starlette", in_turn(url, "/products/7", others), {"wrk": OF_WRK_STARLETTE})


def open_loop() -> None:
    """Nothing is returned; for each rate it was said what was sent, how late, and for how much CPU."""
    with nginx() as url:
        for rate in RATES:
            result = load(url, "/", rate=rate, seconds=OPEN_S)
            assert not result.failed, result.errors
            off, late_ms = abs(result.sent_rate / rate - 1), result.p(99, of=result.lateness_ms)
            name = f"open loop, {rate:,}/s"
            say(f"{name}: {result.sent_rate:,.1f}/s sent, {100 * off:.2f} % off", f"at most {100 * OFF_RATE} %", off <= OFF_RATE)
            say(f"{name}: lateness p99 {late_ms:.3f} ms, p50 {result.p(50, of=result.lateness_ms):.3f} ms",
                f"at most {LATE_MS} ms", late_ms <= LATE_MS)
            say(f"{name}: {result.cpu:.0%} of a core", f"at most {MOST_CPU:.0%} at {max(RATES):,}/s", result.cpu <= MOST_CPU)


def delays() -> None:
    """Nothing is returned; each percentile was said, ours and the true one."""
    with own_server("late") as (url, ended):
        result = load(url, "/", rate=DELAY_RATE, seconds=DELAYS_S)
        took_ms = 1e3 * np.array(ended())
    assert len(took_ms) == len(result.done) and not result.failed, result.errors
    for percent in (10, 50, 90, 95, 99):
        true = float(np.quantile(took_ms, percent / 100))
        off = result.p(percent) / true - 1
        say(f"known delays: p{percent} {result.p(percent):.2f} ms, truly {true:.2f} ms: {100 * off:+.1f} %",
            f"within {100 * OFF_DELAY:g} %", abs(off) <= OFF_DELAY)


def freeze() -> None:
    """Nothing is returned; the p99 of both loops was said, and the exact one."""
    # Whoever comes in the freeze waits for its end: of N = 4,000 the slowest 40 are those of its first 80 ms.
    exact_ms = 1e3 * (FREEZE_S - 0.01 * FREEZE_RUN_S)
    with own_server("freezing") as (url, _):
        result = load(url, "/", rate=FREEZE_RATE, seconds=FREEZE_RUN_S)
    off = result.p99_ms / exact_ms - 1
    say(f"freeze of {FREEZE_S} s: open loop's p99 {result.p99_ms:.0f} ms, exactly {exact_ms:.0f} ms: {100 * off:+.1f} %",
        f"within {100 * OFF_FREEZE:g} %", abs(off) <= OFF_FREEZE)
    with own_server("freezing") as (url, _):
        polite = load(url, "/", clients=FREEZE_CLIENTS, seconds=FREEZE_RUN_S)
    say(f"freeze of {FREEZE_S} s: closed loop's p99 with {FREEZE_CLIENTS} clients {polite.p99_ms:.2f} ms")


def lindley() -> None:
    """Nothing is returned; mean latencies at four utilisations were printed, and what Lindley's recursion makes of the same arrivals."""
    with serve("01-monolith", service_ms=20) as shop:
        service_s = 1 / load(shop, "/livez", clients=4, seconds=5).rate
        for busy in (0.3, 0.5, 0.7, 0.8):
            apart = [load_beside_lindley(shop, busy, service_s, seed) for seed in range(3)]
            say(f"lindley: utilisation {busy}: measured over reckoned {statistics.median(apart):.3f} ({spread(apart)})",
                "within 10 %", all(abs(each - 1) <= 0.1 for each in apart))


def load_beside_lindley(shop: object, busy: float, service_s: float, seed: int) -> float:
    """The measured mean latency over the reckoned one, of ten seconds of Poisson arrivals."""
    run = load(shop, "/livez", rate=busy / service_s, seconds=10, arrivals="poisson", seed=seed)
    return run.mean_ms / (1e3 * theory.lindley(np.sort(run.intended), service_s).mean())


def balancer() -> None:
    """Nothing is returned; the balancer's CPU for a request was said, and how long one more replica takes."""
    with serve("01-monolith", replicas=2) as shop:
        load(shop, "/livez", clients=CONNECTIONS, seconds=1)
        cpu_us = [balancer_us(shop) for _ in range(ROUNDS)]
        add_s = [seconds_to_add(shop) for _ in range(ADDS)]
    of_request, of_add = statistics.median(cpu_us), statistics.median(add_s)
    say(f"balancer: {of_request:.1f} µs of CPU for each request ({spread(cpu_us)})", f"at most {BALANCER_US} µs", of_request <= BALANCER_US)
    say(f"one more replica: {of_add:.2f} s ({spread(add_s)})", f"at most {ADD_S} s", of_add <= ADD_S)


def balancer_us(shop: object) -> float:
    """Microseconds of the balancer's CPU for each request of a closed loop."""
    process = psutil.Process(shop.balancer.pid)
    before = process.cpu_times()
    result = load(shop, "/livez", clients=CONNECTIONS, seconds=SECONDS)
    after = process.cpu_times()
    return 1e6 * (after.user + after.system - before.user - before.system) / len(result.done)


def seconds_to_add(shop: object) -> float:
    """How long one more replica takes to be there; it is gone again."""
    start = time.perf_counter()
    shop.add()
    took_s = time.perf_counter() - start
    shop.remove()
    return took_s


# ------------------------------------------------------------------ what is printed

def compare(name: str, measured: dict[str, list[float]], floors: dict[str, float]) -> None:
    """Nothing is returned; our requests/s were said, and their ratio to each other generator's in the same round."""
    for generator, rates in measured.items():
        text = f"closed loop, {name}: {generator} {statistics.median(rates):,.0f} req/s"
        if generator == "ours":
            say(text)
            continue
        ratios = [one / other for one, other in zip(measured["ours"], rates)]
        ratio = statistics.median(ratios)
        say(f"{text}; ours {ratio:.2f} times that ({spread(ratios)})", f"at least {floors[generator]}", ratio >= floors[generator])


def spread(values: list[float]) -> str:
    """From the smallest to the largest."""
    return f"{min(values):.2f} to {max(values):.2f}"


def say(what: str, floor: str = "", met: bool = True) -> None:
    """Nothing is returned; the line was printed, with the floor, and how busy the machine was in the last minute."""
    busy = [f"load {os.getloadavg()[0]:.1f}"] if hasattr(os, "getloadavg") else []
    wanted = [f"floor: {floor}{'' if met else ', MISSED'}"] if floor else []
    print(f"{what}   [{'; '.join(wanted + busy)}]", flush=True)


MEASUREMENTS = {"closed": closed, "starlette": starlette, "open": open_loop, "delays": delays, "freeze": freeze,
                "lindley": lindley, "balancer": balancer}


def main(names: list[str]) -> None:
    """Nothing is returned; the figures are printed."""
    if unknown := set(names) - set(MEASUREMENTS):
        sys.exit(f"There is no {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}.")
    for name in names or MEASUREMENTS:
        if name in ("closed", "open") and not NGINX_PROGRAM:
            say(f"{name}: nginx is not installed and left out")
        else:
            MEASUREMENTS[name]()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        run(be_server(PROTOCOLS[sys.argv[2]]))
    else:
        main(sys.argv[1:])
