"""The knee as it was measured before: latency over rate, for any goal and number of replicas, and no server runs.

    knee_explorer("knee.csv")      a widget with a slider for the goal, and one for the replicas
    knee_figure("knee.csv", 60)    the same picture without a widget
"""
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from ipywidgets import HBox, IntSlider, Layout, SelectionSlider, VBox
from matplotlib.backends.backend_agg import FigureCanvasAgg

from webscale.charts import INK, PERCENTILES, WIDTH, Figure, styled
from webscale.claims import counted, joined, number
from webscale.live import LIVE_DPI, as_png, picture_frame

COLUMNS = ("replicas", "rate", "p50_ms", "p95_ms", "p99_ms")
TIMES_IDLE = 10   # the picture goes up to so many times the lowest latency: beyond the knee there is no end


class Knee:
    """A figure of latency over rate: made once, and shown for one goal after another."""

    @styled
    def __init__(self, rows: list[dict], percent: int, note: str, **options: object) -> None:
        self.rows, self.percent, self.name = rows, percent, f"p{percent}_ms"
        self.figure = Figure(figsize=(WIDTH, 5), **options)
        self.title = self.figure.suptitle(" ", x=0.01, ha="left", size=16, weight="bold")
        self.axes = self.figure.add_subplot(xlabel=f"requests/s\n{note}".strip(), ylabel="latency, ms")
        self.axes.grid()
        self.curves = {}
        for place, (each, colour) in enumerate(PERCENTILES.items()):
            self.curves[f"p{each}_ms"], = self.axes.plot([], [], "o-", color=colour, markersize=6)
            self.axes.text(0.08 * place, 1.03, f"p{each}", transform=self.axes.transAxes, color=colour, weight="bold")
        self.goal = self.axes.axhline(0, color=INK, linestyle="--", linewidth=1.8)
        self.word = self.axes.text(1, 0, "", transform=self.axes.get_yaxis_transform(), va="bottom",
                                   bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
        self.best = self.axes.axvline(0, color=INK, linestyle=":", linewidth=1.8)

    def show(self, goal_ms: float, replicas: float) -> "Knee":
        """The figure of these replicas, with the goal and the highest rate that meets it."""
        rows = [row for row in self.rows if row["replicas"] == replicas]
        if not rows:
            raise ValueError(f"Nothing was measured with {replicas:g} replicas; there are: {listed(self.rows)}.")
        for name, curve in self.curves.items():
            curve.set_data([row["rate"] for row in rows], [row[name] for row in rows])
        best = best_rate(rows, self.name, goal_ms)
        self.title.set_text(finding(rows, self.percent, goal_ms, best))
        self.goal.set_ydata([goal_ms, goal_ms])
        most = max(row["rate"] for row in self.rows)
        left = rows[-1]["rate"] > most / 2   # the curves end at the right: the word stays clear of them
        self.word.set(x=0 if left else 1, y=goal_ms, ha="left" if left else "right",
                      text=f" the goal: p{self.percent} within {number(goal_ms)} ms ")
        self.best.set_xdata([best, best])
        self.axes.set(xlim=(0, 1.03 * most),
                      ylim=(0, max(top_ms(self.rows, self.name), 1.2 * goal_ms)))
        return self


def knee_figure(stored: "str | Path | Iterable[Mapping]", goal_ms: float = 50, replicas: float | None = None, *,
                percent: int = 99, loop: str = "", n: int = 0, emulated: bool = False) -> Figure:
    """Latency over rate as it was measured, the goal, and the highest rate that meets it.

    `stored` is a CSV file or rows, with columns rate, p50_ms, p95_ms, p99_ms and replicas; `loop`, `n` (requests at
    each rate) and `emulated` say how it was measured.
    """
    rows = rows_of(stored)
    return Knee(rows, percent, note(loop, n, emulated)).show(goal_ms, counts(rows)[0] if replicas is None else replicas).figure


def knee_explorer(stored: "str | Path | Iterable[Mapping]", goal_ms: float = 50, replicas: float | None = None, *,
                  percent: int = 99, loop: str = "", n: int = 0, emulated: bool = False) -> "KneeExplorer":
    """A widget that shows `knee_figure` for any goal and number of replicas; no server runs."""
    rows = rows_of(stored)
    return KneeExplorer(rows, goal_ms, counts(rows)[0] if replicas is None else replicas, percent, note(loop, n, emulated))


class KneeExplorer(VBox):
    """The knee with a slider for the goal and one for the replicas."""

    def __init__(self, rows: list[dict], goal_ms: float, replicas: float, percent: int, note: str) -> None:
        self.knee = Knee(rows, percent, note, dpi=LIVE_DPI, layout="none")
        self.knee.figure.subplots_adjust(left=0.08, right=0.985, top=0.82, bottom=0.17)
        self.canvas = FigureCanvasAgg(self.knee.figure)
        most = max(round(top_ms(rows, f"p{percent}_ms")), round(goal_ms))
        self.goal = IntSlider(round(goal_ms), 1, most, description="goal, ms", layout=Layout(width="440px"))
        self.replicas = SelectionSlider(options=[(f"{count:g}", count) for count in counts(rows)], value=replicas,
                                        description="replicas")
        self.image = picture_frame()
        super().__init__([HBox([self.goal, self.replicas]), self.image])
        self.goal.observe(self.draw, "value")
        self.replicas.observe(self.draw, "value")
        self.draw()

    def draw(self, change: object = None) -> None:
        """Nothing is returned; the figure is that of the sliders."""
        self.knee.show(self.goal.value, self.replicas.value)
        self.canvas.draw()
        self.image.value = as_png(self.canvas)

    def __repr__(self) -> str:
        return (f"<knee explorer: p{self.knee.percent} of {len(self.knee.rows)} measurements; replicas: "
                f"{listed(self.knee.rows)}>")

    def _repr_mimebundle_(self, **options: object) -> dict:
        return {**super()._repr_mimebundle_(**options), "text/plain": repr(self)}


def rows_of(stored: "str | Path | Iterable[Mapping]") -> list[dict]:
    """The measurements as numbers, by replicas and rate; ValueError for a column that is missing."""
    if isinstance(stored, (str, Path)):
        lines = Path(stored).read_text("utf-8").splitlines()
        stored = csv.DictReader(line for line in lines if not line.startswith("#"))
    rows = [dict(row) for row in stored]
    for name in COLUMNS:
        if not rows or name not in rows[0]:
            raise ValueError(f"The measurements need the columns {', '.join(COLUMNS)}; there is no {name!r}.")
    # An empty field is a percentile for which there were too few samples: no number.
    numbers = [{name: float(row[name] or "nan") for name in COLUMNS} for row in rows]
    return sorted(numbers, key=lambda row: (row["replicas"], row["rate"]))


def counts(rows: list[dict]) -> list[float]:
    """The numbers of replicas that were measured."""
    return sorted({row["replicas"] for row in rows})


def listed(rows: list[dict]) -> str:
    """The numbers of replicas that were measured, in words: 1, 2 and 4."""
    return joined(f"{count:g}" for count in counts(rows))


def best_rate(rows: list[dict], name: str, goal_ms: float) -> float:
    """The highest rate that meets the goal, as all lower ones do; 0 if the lowest does not."""
    best = 0.0
    for row in rows:
        if not row[name] <= goal_ms:
            return best
        best = row["rate"]
    return best


def finding(rows: list[dict], percent: int, goal_ms: float, best: float) -> str:
    """What the figure shows, in one sentence."""
    who = counted(rows[0]["replicas"], "replica")
    if not best:
        return f"{who}: no rate that was measured has a p{percent} within {number(goal_ms)} ms"
    higher = [row["rate"] for row in rows if row["rate"] > best]
    end = f"and not at {number(higher[0])}" if higher else "the highest that was measured"
    return f"{who}: p{percent} within {number(goal_ms)} ms up to {number(best)} requests/s, {end}"


def top_ms(rows: list[dict], name: str) -> float:
    """Where the picture of the latencies ends: the same for all replicas, so that nothing jumps."""
    values = [row[name] for row in rows if row[name] > 0] or [1]
    return min(1.1 * max(values), TIMES_IDLE * min(values))


def note(loop: str, n: int, emulated: bool) -> str:
    """How it was measured, in brackets."""
    words = [f"{loop} loop"] * bool(loop) + [f"n = {n:,} at each rate"] * bool(n) + ["emulated machines"] * emulated
    return f"({', '.join(words)})" if words else ""
