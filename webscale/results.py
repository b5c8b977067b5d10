"""What a load run found: every latency, what failed, and whether the generator itself was the limit."""
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from webscale.claims import number

LATE_S = 0.5e-3      # a generator that sends later than this (p99) has become part of what it measures,
LATE_SHARE = 0.2     # unless that is little beside what the run is to show, or beside the median latency
MOST_CPU = 0.8       # of one core
BEYOND = 10          # so many samples must lie beyond a percentile, or it is a matter of chance
SHOWN = (50, 95, 99)


class TooFewSamples(ValueError):
    """A percentile was asked for that so few samples cannot support."""


@dataclass(frozen=True, repr=False, eq=False)
class LoadResult:
    """One run. Times are in seconds from its start, one entry for each answered request, in the order of the answers."""

    name: str
    loop: str                # open or closed
    seconds: float           # how long requests were sent
    intended: np.ndarray     # when each was meant to be sent; in a closed loop, when it was sent
    sent: np.ndarray         # when it was sent
    done: np.ndarray         # when its answer was complete
    status: np.ndarray
    bytes: np.ndarray        # of each answer, with its head
    step: np.ndarray         # which of the scenario's steps
    failures: tuple[tuple[float, float, str], ...]   # (intended, found out, kind)
    offered: int             # requests that were to be sent; in a closed loop, that were
    cpu: float               # the generator's own, of one core
    effect_ms: float = 0     # the smallest effect that the run is to show; lateness is judged against it
    facts: dict = field(default_factory=dict)

    @property
    def latency_ms(self) -> np.ndarray:
        """From the intended moment to the end of the answer: what a user would have waited."""
        return 1e3 * (self.done - self.intended)

    @property
    def stopwatch_ms(self) -> np.ndarray:
        """From the moment of sending to the end of the answer: what a stopwatch in the client shows."""
        return 1e3 * (self.done - self.sent)

    @property
    def lateness_ms(self) -> np.ndarray:
        """From the intended moment to the moment of sending, in the order of sending."""
        return 1e3 * (self.sent - self.intended)

    @property
    def rate(self) -> float:
        """Answers a second, over the time in which requests were sent."""
        inside = np.count_nonzero(self.done <= self.seconds)
        return inside / self.seconds if self.seconds else 0.0

    @property
    def sent_rate(self) -> float:
        """Requests a second that left inside the schedule's time."""
        late = [found for _, found, _ in self.failures]
        times = np.concatenate([self.sent, np.array(late, dtype=float)])
        return np.count_nonzero(times < self.seconds) / self.seconds if self.seconds else 0.0

    @property
    def ok(self) -> np.ndarray:
        """Which answers were good: status 200 to 399."""
        return (self.status >= 200) & (self.status < 400)

    @property
    def errors(self) -> dict[str, int]:
        """How many requests went wrong, by kind: status 503, refused, timeout …"""
        bad = Counter(f"status {status}" for status in self.status[~self.ok].tolist())
        return dict((bad + Counter(what for *_, what in self.failures)).most_common())

    @property
    def failed(self) -> int:
        """How many requests went wrong."""
        return sum(self.errors.values())

    def p(self, percent: float, of: np.ndarray | None = None) -> float:
        """The latency in ms that so many percent of the answers stay below; TooFewSamples if there are too few."""
        values = self.latency_ms if of is None else of
        needed = 0 if percent == 100 else math.ceil(round(BEYOND / (1 - percent / 100), 6))
        if len(values) < max(needed, 1):
            raise TooFewSamples(f"p{percent:g} needs {max(needed, 1):,} samples, and there are {len(values):,}: "
                                "run longer, send more, or ask for a lower percentile.")
        return float(np.quantile(values, percent / 100))

    @property
    def p50_ms(self) -> float:
        """The median latency in ms."""
        return self.p(50)

    @property
    def p95_ms(self) -> float:
        """What 95 of 100 answers stay below, in ms."""
        return self.p(95)

    @property
    def p99_ms(self) -> float:
        """What 99 of 100 answers stay below, in ms."""
        return self.p(99)

    @property
    def mean_ms(self) -> float:
        """The mean latency in ms; TooFewSamples if nothing was answered."""
        if not len(self.done):
            raise TooFewSamples("The mean needs an answer, and there was none: see .errors.")
        return float(self.latency_ms.mean())

    @property
    def supported(self) -> tuple[float, ...]:
        """Those of p50, p95 and p99 that there are samples enough for."""
        return tuple(percent for percent in SHOWN if len(self.done) >= BEYOND / (1 - percent / 100) - 1e-6)

    @property
    def limits(self) -> list[str]:
        """Why the generator, not the server, was the limit; empty if it was not."""
        found = []
        if self.cpu > MOST_CPU:
            found.append(f"the generator used {self.cpu:.0%} of a core")
        if self.loop == "open" and len(self.supported) > 1:
            late_ms = float(np.quantile(self.lateness_ms, self.supported[-1] / 100))
            may_ms = LATE_SHARE * self.effect_ms or max(1e3 * LATE_S, LATE_SHARE * float(np.median(self.latency_ms)))
            if late_ms > may_ms:
                found.append(f"its sends were {number(late_ms)} ms late (p{self.supported[-1]}), and {number(may_ms)} ms would be bearable")
        return found

    @property
    def generator_limited(self) -> bool:
        """Whether the generator, not the server, was the limit."""
        return bool(self.limits)

    def __repr__(self) -> str:
        percentile = f", p{self.supported[-1]} {number(self.p(self.supported[-1]))} ms" if self.supported else ""
        mark = f", GENERATOR-LIMITED: {' and '.join(self.limits)}" if self.limits else ""
        return f"<{self.offered:,} sent, {self.failed:,} failed, {self.rate:,.0f} req/s{percentile}{mark}>"

    def save(self, path: str | Path) -> Path:
        """The file that now holds the run, for `read`."""
        path = Path(path).with_suffix(".npz")
        rest = {name: getattr(self, name) for name in
                ("name", "loop", "seconds", "failures", "offered", "cpu", "effect_ms", "facts")}
        np.savez_compressed(path, rest=np.array(json.dumps(rest)), **{name: getattr(self, name) for name in COLUMNS})
        return path

    def hgrm(self) -> str:
        """The latencies in ms as HdrHistogram's percentile text, which its plotters read."""
        values = np.sort(self.latency_ms)
        count = len(values)
        if not count:
            raise TooFewSamples("A histogram needs an answer, and there was none: see .errors.")
        lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
        for share in percentile_steps(count):
            place = min(count, max(1, math.ceil(share * count - 1e-9)))
            beyond = "inf" if share == 1 else f"{1 / (1 - share):.2f}"
            lines.append(f"{values[place - 1]:12.3f} {share:14.12f} {place:10d} {beyond:>14}")
        lines += [f"#[Mean    = {values.mean():12.3f}, StdDeviation   = {values.std():12.3f}]",
                  f"#[Max     = {values[-1]:12.3f}, Total count    = {count:12d}]"]
        return "\n".join(lines) + "\n"


COLUMNS = ("intended", "sent", "done", "status", "bytes", "step")


def percentile_steps(count: int) -> list[float]:
    """0, 0.1 … 0.5, then five steps for each halving of what is left, as far as the samples go, and 1."""
    steps, share, step = [], 0.0, 0.1
    while (1 - share) * count >= 1 and len(steps) < 200:
        steps.append(share)
        share += step
        if share >= 1 - 5 * step + 1e-12:   # half of what was left has been passed
            step /= 2
    return [*steps, 1.0]


def read(path: str | Path) -> LoadResult:
    """The run that was saved there."""
    with np.load(Path(path).with_suffix(".npz")) as file:
        rest = json.loads(str(file["rest"]))
        rest["failures"] = tuple(map(tuple, rest["failures"]))
        return LoadResult(**rest, **{name: file[name] for name in COLUMNS})
