"""How long serve() takes until a server is ready, and how much memory the server holds: python tests/benchmarks/bench_serve.py

Memory is PSS, the process's share of what it shares with others; Linux only.
"""
import statistics
import time
from pathlib import Path

from webscale.servers import serve

STARTS = 20
READY_WITHIN_S = 0.4
MOST_MB = 40


def main():
    """Nothing is returned; the figures are printed."""
    started = [one_start() for _ in range(STARTS)]
    ready_s, pss_mb = (sorted(figures) for figures in zip(*started))
    print(f"ready after {statistics.median(ready_s):.3f} s (median of {STARTS}; from {ready_s[0]:.3f} to {ready_s[-1]:.3f}); "
          f"the limit is {READY_WITHIN_S} s")
    print(f"{statistics.median(pss_mb):.1f} MB PSS after a hundred requests; the limit is {MOST_MB} MB")


def one_start():
    """The seconds until the server was ready, and its memory in MB."""
    start = time.perf_counter()
    with serve("01-monolith") as server:
        ready_s = time.perf_counter() - start
        with server.session() as client:
            for _ in range(100):
                client.get(f"{server.url}/products")
        return ready_s, pss_mb(server.pid)


def pss_mb(pid):
    """The memory of the process in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
