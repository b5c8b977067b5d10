"""The figures of load runs. Each says under its axes whether the loop was open or closed, and how many requests it shows."""
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from webscale.charts import ACCENT, COLOURS, FAINT, INK, QUIET, WIDTH, Figure, blank, styled
from webscale.claims import joined
from webscale.load import Sweep
from webscale.results import BEYOND, LoadResult

WHEEL = (COLOURS["crud"], ACCENT, COLOURS["feature"], COLOURS["controller"], QUIET)
LINES = ("-", "--", "-.", ":")
FEW = 6   # runs: so many sizes can be read one by one


@styled
def over_time(runs: Mapping[str, LoadResult], title: str) -> Figure:
    """A dot for each request, when it was meant to be sent and how long it took; one panel a run, all with one scale."""
    figure = panels(title, len(runs), 2.6)
    highest = max(run.latency_ms.max() for run in runs.values())
    for axes, (name, run), colour in zip(figure.axes, runs.items(), WHEEL):
        axes.scatter(run.intended, run.latency_ms, s=22, color=colour, linewidth=0, alpha=0.6)
        axes.set(xlim=(0, run.seconds), ylim=(-0.04 * highest, 1.08 * highest), ylabel="latency, ms")
        axes.set_title(name, size=13, color=colour)
        axes.grid(axis="y")
    figure.axes[-1].set_xlabel("when it was meant to be sent, s\n" + method(runs.values()))
    return figure


@styled
def percentile_curves(runs: Mapping[str, LoadResult], title: str, *, emulated: bool = False) -> Figure:
    """For each run the latency that a share of its requests stays below, as far as its samples support it."""
    figure, axes = blank(title, 5, y="latency, ms")
    for (name, run), colour in zip(runs.items(), WHEEL):
        shares = np.linspace(0, 1 - BEYOND / len(run.done), 400) if len(run.done) > BEYOND else np.array([0.5])
        values = np.quantile(run.latency_ms, shares)
        axes.plot(-np.log10(1 - shares), values, color=colour)
        named(axes, name, -np.log10(1 - shares[-1]), values[-1], colour)
    ticks = {0: "0", 0.5: "50", 0.9: "90", 0.99: "99", 0.999: "99.9"}
    axes.set(xticks=[-np.log10(1 - share) for share in ticks], xticklabels=list(ticks.values()), xlim=(0, None),
             ylim=(0, None), xlabel="share of requests that were quicker, %\n" + method(runs.values(), emulated))
    axes.grid()
    return figure


@styled
def knee(found: Sweep, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, *,
         x: str = "requests/s", emulated: bool = False, most_ms: float | None = None) -> Figure:
    """The mean latency of each run as a dot, and over the dots what theory says, as lines of (rates, ms)."""
    figure, axes = blank(title, 5.4, y="mean latency, ms")
    for (name, (rates, values)), colour, line in zip(curves.items(), WHEEL[1:], LINES):
        axes.plot(rates, values, line, color=colour, label=name)
    axes.plot(found.values, found.mean_ms, "o", color=INK, markersize=9, label="measured", zorder=3)
    axes.set(xlim=(0, None), ylim=(0, most_ms or 1.15 * found.mean_ms.max()),
             xlabel=f"{x}\n" + method((run for _, run in found.runs), emulated))
    axes.grid()
    axes.legend(frameon=False, loc="upper left")
    return figure


@styled
def scores(rows: Sequence[Mapping], title: str, note: str, *, lit: Collection[str] = ()) -> Figure:
    """A score board, the first row at the top: each has a lever, its score in requests/s, the lowest and highest, a cost.

    A thin line goes from the lowest to the highest; the levers that the title speaks of are lit.
    """
    figure, axes = blank(title, 1.2 + 0.55 * len(rows), x=f"requests/s with a p99 below the goal\n{note}")
    most = max(row["highest"] for row in rows) or 1
    for place, row in enumerate(rows):
        axes.barh(place, row["score"], color=ACCENT if row["lever"] in lit else QUIET, height=0.66)
        axes.plot([row["lowest"], row["highest"]], [place, place], color=INK, linewidth=1.2, marker="|", markersize=9)
        axes.text(row["highest"] + 0.015 * most, place, f"{row['score']:,.0f}   {row['cost']}", va="center", size=11.5, color=INK)
    axes.set(yticks=range(len(rows)), yticklabels=[row["lever"] for row in rows], xlim=(0, 1.6 * most))
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def scaling(measured: Mapping[str, tuple[Sequence[float], Sequence[float]]],
            curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, note: str, *,
            x: str = "replicas", y: str = "requests/s") -> Figure:
    """Throughput over replicas: dots that were measured, lines that were fitted to them, and the line of perfect scaling."""
    figure, axes = blank(title, 5.4, y=y)
    most = max(max(values) for values, _ in measured.values())
    unit = max(rates[0] / values[0] for values, rates in measured.values())
    axes.plot([0, most], [0, unit * most], ":", color=FAINT, linewidth=2)
    for (name, (values, rates)), colour in zip(measured.items(), WHEEL):
        axes.plot(values, rates, "o", color=colour, markersize=8, label=name, clip_on=False, zorder=3)
        if name in curves:
            axes.plot(*curves[name], color=colour)
            named(axes, name, curves[name][0][-1], curves[name][1][-1], colour)
    if not curves:
        axes.legend(frameon=False, loc="upper left")
    highest = max(max(rates) for _, rates in [*measured.values(), *curves.values()])
    axes.set(xlim=(0, most), ylim=(0, 1.05 * highest), xlabel=f"{x}\n{note}")
    axes.grid()
    return figure


def panels(title: str, count: int, height: float) -> Figure:
    """A figure with so many axes below each other, which share what lies across."""
    figure = Figure(figsize=(WIDTH, 1.1 + height * count))
    figure.suptitle(title, x=0.01, ha="left", size=16, weight="bold")
    figure.subplots(count, 1, sharex=True)
    return figure


def named(axes: Axes, name: str, x: float, y: float, colour: str) -> None:
    """Nothing is returned; the line that ends there has its name beside its end."""
    axes.annotate(name, (x, y), xytext=(8, 0), textcoords="offset points", va="center", color=colour, weight="bold",
                  annotation_clip=False)


def method(runs: "Sequence[LoadResult]", emulated: bool = False) -> str:
    """How it was measured: the loop, the requests of each run, whether machines are emulated or the generator was the limit."""
    runs = list(runs)
    loops = joined(f"{loop} loop" for loop in dict.fromkeys(run.loop for run in runs))
    sizes = [len(run.done) for run in runs]
    words = [loops, "n = " + (joined(map("{:,}".format, sizes)) if len(sizes) <= FEW else f"{min(sizes):,} to {max(sizes):,} each")]
    words += ["emulated machine"] if emulated else []
    limited = sum(run.generator_limited for run in runs)
    words += [f"the generator was the limit{' of some' if limited < len(runs) else ''}"] if limited else []
    return "(" + ", ".join(words) + ")"
