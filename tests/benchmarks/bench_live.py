"""What it costs to look on while a run goes on: python tests/benchmarks/bench_live.py

Each round has a run that is drawn and one that is not, in random order, so that a busy moment of the machine does not
fall on one kind.
"""
import asyncio
import random
import statistics
import time

from webscale.live import View, drawn
from webscale.load import load
from webscale.servers import serve

ROUNDS = 7
RUN = {"rate": 600, "seconds": 3}   # 1,800 requests: enough for a p99
MOST_MS = 50
FEWEST_A_SECOND = 4
MOST_RATIO = 1.5


def main():
    """Nothing is returned; the figures are printed."""
    updates, rounds = [], []
    with serve("01-monolith") as shop:
        for _ in range(ROUNDS):
            kinds = {True: lambda: looked_on(shop, updates), False: lambda: load(shop, **RUN)}
            rounds.append({kind: kinds[kind]() for kind in random.sample([True, False], 2)})
            print(f"p99 {rounds[-1][True].p99_ms:.2f} ms drawn, {rounds[-1][False].p99_ms:.2f} ms not drawn", flush=True)
    tell_updates(updates)
    ratios = sorted(pair[True].p99_ms / pair[False].p99_ms for pair in rounds)
    print(f"p99 drawn : not drawn {statistics.median(ratios):.2f} (median of {ROUNDS} rounds; from {ratios[0]:.2f} to "
          f"{ratios[-1]:.2f}); the limit is {MOST_RATIO}")


def looked_on(shop, updates):
    """The result of a run that was drawn; for each update its beginning, its end and the CPU time it took are noted."""
    view, noted = View(load(shop, **RUN, live=True).plan), []
    draw = view.draw

    def timed(run):
        began, cpu = time.perf_counter(), time.thread_time()
        draw(run)
        noted.append((began, time.perf_counter(), time.thread_time() - cpu))

    view.draw = timed
    result = asyncio.run(drawn(view.plan, view))
    updates.append(noted)
    return result


def tell_updates(updates):
    """Nothing is returned; how long an update took, and how many there were a second, are printed."""
    took = sorted(1e3 * (end - began) for run in updates for began, end, _ in run)
    cpu = sorted(1e3 * cpu for run in updates for *_, cpu in run)
    often = [(len(run) - 1) / (run[-1][0] - run[0][0]) for run in updates]
    print(f"an update took {statistics.median(took):.0f} ms (median of {len(took)}; 95 % within {took[int(0.95 * len(took))]:.0f} "
          f"ms), {statistics.median(cpu):.0f} ms of it CPU; the limit is {MOST_MS} ms")
    print(f"{min(often):.1f} updates a second in the slowest run; the limit is {FEWEST_A_SECOND}")


if __name__ == "__main__":
    main()
