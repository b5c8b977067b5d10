"""A load run: the generator's process, what it sends back, and the result that is put together from it."""
import json
import queue
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from webscale import generator, traffic
from webscale.results import LoadResult

GENERATOR = "webscale.generator"
STARTS_WITHIN_S = 10
INTERRUPTIBLE_S = 0.2   # on some systems no Ctrl-C reaches who waits longer
SOON_S = 5   # beyond the last timeout, the generator has nothing left to wait for


class NotMeasurable(Exception):
    """The machine was too busy to measure this, twice."""


@dataclass
class Plan:
    """A run that can be started, more than once."""

    scenario: traffic.Scenario
    config: dict
    times: Sequence[float]
    effect_ms: float

    def result(self) -> LoadResult:
        """What the run found; NotMeasurable if the machine was too busy for its effect, twice."""
        found = self.once()
        if not self.effect_ms or not found.generator_limited:
            return found
        again = self.once()
        if again.generator_limited:
            raise NotMeasurable(f"An effect of {self.effect_ms:g} ms cannot be shown now: {' and '.join(again.limits)}, "
                                f"and before, {' and '.join(found.limits)}. Close what else runs on this machine, "
                                "and run the cell again.")
        return again

    def once(self) -> LoadResult:
        """What one run found."""
        gathered = Gathered(self)
        with self.running() as chunks:
            for chunk in chunks:
                gathered.add(chunk)
        return gathered.result()

    @contextmanager
    def running(self) -> Iterator[Iterator[tuple[dict, dict]]]:
        """The chunks of a run as they arrive; the generator is gone at the end of the block, whatever happens in it."""
        ready = {**self.config, "what": traffic.prepared(self.scenario, f"http://{self.config['host']}:{self.config['port']}")}
        times = array("d", self.times).tobytes()
        own_group = ({"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32"
                     else {"start_new_session": True})   # the notebook's Interrupt is for us
        process = subprocess.Popen([sys.executable, "-m", GENERATOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **own_group)
        try:
            with suppress(OSError):   # it has died: its last words are read below
                process.stdin.write(json.dumps({**ready, "schedule_bytes": len(times)}).encode() + b"\n" + times)
                process.stdin.flush()
            self.process = process
            yield self.chunks(process)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):
                    pipe.close()

    def chunks(self, process: subprocess.Popen) -> Iterator[tuple[dict, dict]]:
        """Messages with their columns, until the last; RuntimeError if there is no last one in time."""
        last_send = self.config["seconds"] if self.config["clients"] else float(self.times[-1])
        deadline = time.monotonic() + STARTS_WITHIN_S + last_send + self.config["timeout_s"] + SOON_S
        arriving: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=receive, args=(process.stdout, arriving), daemon=True).start()
        while True:
            try:
                chunk = arriving.get(timeout=INTERRUPTIBLE_S)
            except queue.Empty:
                if time.monotonic() < deadline:
                    continue
                raise RuntimeError("The load generator did not come to an end in time; run the cell again.") from None
            if chunk is None:
                words = process.stderr.read().decode(errors="replace").strip().splitlines() or ["nothing"]
                raise RuntimeError(f"The load generator ended in the middle of its run; its last words were {words[-1]!r}.")
            yield chunk
            if "end" in chunk[0]:
                return

    def stop(self) -> None:
        """Nothing is returned; the run that is under way comes to its end soon."""
        with suppress(OSError):
            self.process.stdin.write(b"stop\n")
            self.process.stdin.flush()


def receive(pipe: object, arriving: queue.SimpleQueue) -> None:
    """Nothing is returned; runs in a thread: each message, with its columns, was put in the queue, None at the end."""
    with suppress(OSError, ValueError):
        while line := pipe.readline():
            message = json.loads(line)
            columns = {name: np.frombuffer(pipe.read(message["records"] * np.dtype(code).itemsize), code)
                       for name, code in generator.COLUMNS.items()}
            arriving.put((message, columns))
    arriving.put(None)


class Gathered:
    """The chunks of a run, put together."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.columns: dict[str, list[np.ndarray]] = {name: [] for name in generator.COLUMNS}
        self.failures: list[tuple[float, float, str]] = []
        self.end: dict = {}

    def add(self, chunk: tuple[dict, dict]) -> None:
        """Nothing is returned; the chunk's records are part of the result."""
        message, columns = chunk
        for name, values in columns.items():
            self.columns[name].append(values)
        self.failures += [tuple(failure) for failure in message["failures"]]
        self.end = message.get("end", self.end)

    def result(self) -> LoadResult:
        """The whole run."""
        columns = {name: np.concatenate(parts) for name, parts in self.columns.items()}
        plan, end = self.plan, self.end
        closed = bool(plan.config["clients"])
        happened = len(columns["done"]) + len(self.failures)
        lasted = min(plan.config["seconds"], end["wall_s"]) if end["stopped"] else plan.config["seconds"]
        return LoadResult(
            name=plan.scenario.name, loop="closed" if closed else "open", seconds=lasted, **columns,
            failures=tuple(self.failures), offered=happened if closed or end["stopped"] else len(plan.times),
            cpu=end["cpu_s"] / end["wall_s"], effect_ms=plan.effect_ms,
            facts={"connections": end["connections"], "stopped": end["stopped"], "seed": plan.config["seed"]})
