"""GET /products/{id} with a session: the shop's requests/s against bare Starlette's, and beside it Flask's and FastAPI's.

    uv run --with flask --with fastapi --with sqlalchemy --with waitress python tests/benchmarks/bench_monolith.py

Closed loop, 16 connections, driven by wrk (Debian's package), all in one run: rounds in turn, medians, ratios.
"""
import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

ROUNDS = 9
SECONDS = 2
CONNECTIONS = 16
MONOLITH = Path(__file__).parents[2] / "examples" / "01-monolith"
FLOOR = 0.45   # of bare Starlette's requests/s
NEEDS = {"shop": ["starlette"], "bare": ["starlette"], "gathered": ["starlette"], "flask": ["flask", "sqlalchemy", "waitress"],
         "fastapi": ["fastapi", "sqlalchemy"]}


def start(kind, database):
    """The server's process and its URL: the shop as it runs alone, or one of its peers."""
    command = ["-m", "shop", "--port", "0"] if kind == "shop" else [Path(__file__).with_name("peers.py"), kind, database]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, "SHOP_DATABASE": f"sqlite:///{database}", "PYTHONPATH": str(MONOLITH)})
    port = re.findall(r"\d+", process.stdout.readline().partition(" (")[0])[-1]
    return process, f"http://127.0.0.1:{port}"


def cookie_of_a_customer(url):
    """The token of a customer who has logged in."""
    who = {"email": "pat@example.com", "password": "correct horse"}
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{url}/accounts", json=who)
        session.post(f"{url}/session", json=who)
        return session.cookies["session"]


def requests_per_second(url, cookie):
    """What wrk measures; every answer must be a 200."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-H", f"Cookie: session={cookie}", f"{url}/products/7"]
    report = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Non-2xx" not in report, report
    return float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])


def main():
    """Nothing is returned; the ratios are printed."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: on Debian, apt-get install wrk.")
    there = [kind for kind, packages in NEEDS.items() if all(map(importlib.util.find_spec, packages))]
    with tempfile.TemporaryDirectory() as folder:
        servers = {}
        try:
            for kind in there:   # the shop first: it makes the database that its peers read
                servers[kind] = start(kind, Path(folder, "shop.db").as_posix())
            urls = {kind: url for kind, (_, url) in servers.items()}
            report(urls, cookie_of_a_customer(urls["shop"]))
        finally:
            for process, _ in servers.values():
                process.kill()
                process.wait()


def report(urls, cookie):
    """Nothing is returned; a line for each server."""
    rounds = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            rounds[name].append(requests_per_second(url, cookie))
    for name, measured in rounds.items():
        ratios = [one / bare for one, bare in zip(measured, rounds["bare"])]
        print(f"{name:8} {statistics.median(measured):>8,.0f} req/s   {statistics.median(ratios):.2f} of bare "
              f"(from {min(ratios):.2f} to {max(ratios):.2f})")
    print(f"The floor for the shop is {FLOOR}.")


if __name__ == "__main__":
    main()
