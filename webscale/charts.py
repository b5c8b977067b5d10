"""The series' figures, one function each. A figure states its message: its title is what one would say aloud."""
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ContextDecorator

import matplotlib
import matplotlib.figure
from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import StrMethodFormatter
from PIL import Image

from webscale.claims import Guess, number
from webscale.tracing import Stage, Step, Trace, indents_of, shown_stages

# Okabe and Ito's palette, which the colour-blind can tell apart: one colour per kind of stage, everywhere.
COLOURS = {
    "client": "#000000",
    "middleware": "#56B4E9",
    "router": "#E69F00",
    "controller": "#CC79A7",
    "feature": "#009E73",
    "crud": "#0072B2",
    "database": "#0072B2",
    "response": "#D55E00",
    "server": "#999999",
    "app": "#F0E442",
}
PERCENTILES = {50: "#999999", 95: "#E69F00", 99: "#D55E00"}
ACCENT, QUIET, INK, FAINT = "#D55E00", "#B8BEC5", "#222222", "#8A9099"

STYLE = {
    "figure.dpi": 120,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",   # comes with Matplotlib: the same figure on every machine
    "font.size": 13,
    "text.color": INK,
    "axes.facecolor": "white",
    "axes.labelsize": 13,
    "axes.labelcolor": INK,
    "axes.titlesize": 16,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.axisbelow": True,
    "grid.color": "#E3E6EA",
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2.5,
}
WIDTH = 10   # inches, of every figure


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows once, as the cell's result; pyplot, which would show it again, is not asked."""

    def _repr_png_(self) -> bytes:
        """The picture in 256 colours: a third of the bytes, and they stand in the notebook's file."""
        small = io.BytesIO()
        Image.open(io.BytesIO(print_figure(self))).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            small, "png", optimize=True)
        return small.getvalue()


class Styled(ContextDecorator):
    """Matplotlib draws in STYLE, within `with styled:` or in a function under `@styled`."""

    def __init__(self) -> None:
        self.contexts = []   # rc_context's own object works only once

    def __enter__(self) -> None:
        self.contexts.append(matplotlib.rc_context(STYLE))
        self.contexts[-1].__enter__()

    def __exit__(self, *error: object) -> None:
        self.contexts.pop().__exit__(*error)


styled = Styled()


def blank(title: str, height: float, x: str = "", y: str = "") -> tuple[Figure, Axes]:
    """A figure with its title over the whole width, and its axes with their labels."""
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(textwrap.fill(title, 64), x=0.01, ha="left", size=16, weight="bold")
    return figure, figure.add_subplot(xlabel=x, ylabel=y)


def shade(colour: str, strength: float) -> str:
    """The colour mixed with white: 1 is the colour itself, 0 is white."""
    return to_hex([1 - strength * (1 - part) for part in to_rgb(colour)])


def ink_on(colour: str) -> str:
    """White or black, whichever can be read on the colour."""
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


# ------------------------------------------------------------------ the lecture's picture

SAID = {   # the lecture's own words
    "all": "From a request to a response, by way of every stage",
    "client": "A request arrives on some port, given some route",
    "middleware": "The various middleware process the request",
    "router": "The router looks at the route and invokes a controller",
    "controller": "The controller causes features to be activated",
    "feature": "The activated features do what was asked for",
    "crud": "Data is fetched and stored through CRUD operations",
    "response": "A response is constructed and sent back to the client",
}
FEATURES = {"A": "Accounts", "B": "Catalog", "C": "Orders", "D": "History"}
LAYERS = ("controller", "feature", "crud")


@styled
def request_path(lit: str = "all") -> Figure:
    """The lecture's picture with one stage lit, or all of them."""
    if lit not in SAID:
        raise ValueError(f"There is no stage {lit!r} on the picture; choose one of {', '.join(SAID)}.")
    figure, axes = blank(SAID[lit], 5)
    axes.set(xlim=(0, 100), ylim=(0, 50))
    axes.set_axis_off()
    draw_way_in(axes, lit)
    draw_features(axes, lit)
    draw_way_back(axes, lit)
    return figure


def draw_way_in(axes: Axes, lit: str) -> None:
    """Nothing is returned; client, middleware and router are on the axes."""
    arrow(axes, [(11, 30), (16, 30)], "client", lit)
    arrow(axes, [(31, 30), (35, 30)], "middleware", lit)
    box(axes, (1, 24.5, 10, 11), "Client", "client", lit)
    box(axes, (16, 12, 15, 36), "", "middleware", lit, strength=0.25)
    axes.text(23.5, 44.6, "Middleware", ha="center", va="center", weight="bold",
              color=INK if is_lit("middleware", lit) else FAINT)
    for y, name in zip((34.5, 26.5, 18.5), ("body\nparsing", "sessions", "authen-\ntication")):
        box(axes, (17, y, 13, 7.2), name, "middleware", lit, size=12)
    axes.text(23.5, 15.2, "…", ha="center", va="center", color=FAINT)
    box(axes, (35, 24.5, 10, 11), "Router", "router", lit)


def draw_features(axes: Axes, lit: str) -> None:
    """Nothing is returned; the four features, what each is made of, and the data are on the axes."""
    for row, (letter, name) in enumerate(FEATURES.items()):
        y = 39 - 9.6 * row
        arrow(axes, [(45, 30), (49.5, y + 4.4)], "router", lit)
        arrow(axes, [(86, y + 4.4), (89.6, 29.5 + (y + 4.4 - 30) * 0.35)], "crud", lit)
        axes.add_patch(FancyBboxPatch((49.5, y), 36.5, 8.8, boxstyle="round,pad=0,rounding_size=0.8",
                                      facecolor="#F6F7F8", edgecolor="#D5D9DE"))
        axes.text(50.6, y + 6.9, f"{letter}  {name}", va="center", weight="bold", size=12.5,
                  color=INK if lit in ("all", *LAYERS) else FAINT)
        for place, layer in enumerate(LAYERS):
            label = "CRUD" if layer == "crud" else layer
            box(axes, (50.4 + 11.8 * place, y + 0.8, 11.2, 4.4), label, layer, lit, size=12)
    draw_data(axes, lit)


def draw_data(axes: Axes, lit: str) -> None:
    """Nothing is returned; the drum that stands for the database is on the axes."""
    face, edge, ink = looks("crud", lit)
    axes.add_patch(Ellipse((94.5, 23), 9, 4, facecolor=face, edgecolor=edge))
    axes.add_patch(Rectangle((90, 23), 9, 13, facecolor=face, edgecolor="none"))
    axes.plot([90, 90], [23, 36], [99, 99], [23, 36], color=edge, linewidth=1)
    axes.add_patch(Ellipse((94.5, 36), 9, 4, facecolor=shade(face, 0.85), edgecolor=edge))
    axes.text(94.5, 28.5, "Data", ha="center", va="center", weight="bold", color=ink)


def draw_way_back(axes: Axes, lit: str) -> None:
    """Nothing is returned; the response's way under all the others is on the axes."""
    arrow(axes, [(56, 10), (56, 4.5), (45, 4.5)], "response", lit)
    arrow(axes, [(31, 4.5), (6, 4.5), (6, 24.5)], "response", lit)
    box(axes, (31, 1, 14, 7), "Response", "response", lit)


def is_lit(kind: str, lit: str) -> bool:
    """Whether a stage of this kind shows its colour."""
    return lit in ("all", kind)


def looks(kind: str, lit: str) -> tuple[str, str, str]:
    """The colours of a box, its edge and its words."""
    colour = COLOURS[kind]
    if is_lit(kind, lit):
        return colour, colour, ink_on(colour)
    return shade(colour, 0.10), shade(colour, 0.30), FAINT


def box(axes: Axes, place: tuple, label: str, kind: str, lit: str, size: float = 13, strength: float = 1) -> None:
    """Nothing is returned; a box at (x, y, width, height) is on the axes."""
    x, y, width, height = place
    face, edge, ink = looks(kind, lit)
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.8",
                                  facecolor=shade(face, strength), edgecolor=edge))
    axes.text(x + width / 2, y + height / 2, label, ha="center", va="center", size=size, color=ink,
              weight="bold" if size > 12 else "normal", linespacing=1.05)


def arrow(axes: Axes, points: list[tuple[float, float]], kind: str, lit: str) -> None:
    """Nothing is returned; an arrow through the points is on the axes."""
    shown = is_lit(kind, lit)
    axes.add_patch(FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=15, joinstyle="round",
                                   linewidth=2.2 if shown else 1.4,
                                   color=COLOURS[kind] if shown else "#C9CED4", shrinkA=0, shrinkB=0))


# ------------------------------------------------------------------ a trace

@styled
def waterfall(trace: Trace) -> Figure:
    """When each stage of the trace began and ended; dark where it was at work itself, pale where another was."""
    stages = shown_stages(trace.stages)
    if not stages:
        raise ValueError(f"{trace!r} has nothing to draw: {trace.note}")
    figure, axes = blank(finding(trace), 1.7 + 0.3 * len(stages), x="ms since the client began")
    for row, stage in enumerate(stages):
        draw_stage(axes, row, stage)
    indents = indents_of(trace.stages, helpers=False)
    axes.set_yticks(range(len(stages)), ["   " * indents[stage.id] + stage.name for stage in stages])
    # The names start at the left, so that their indents can be seen; Matplotlib would end them at the right.
    axes.tick_params(axis="y", length=0, pad=longest(stages, indents) * 7.4)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
    axes.set(ylim=(len(stages) - 0.4, -1.3), xlim=(0, max(stage.end_ms for stage in stages)))   # the server may end last
    axes.text(1.18, -0.95, "own time", transform=axes.get_yaxis_transform(), ha="right", va="center", color=FAINT)
    axes.grid(axis="x")
    add_legend(figure, stages)
    return figure


def finding(trace: Trace) -> str:
    """How long the request took, and the application's stage that took most of it."""
    ours = [stage for stage in trace.stages if stage.kind not in ("client", "server")]
    slowest = max(ours or trace.stages, key=lambda stage: stage.own_ms)
    return f"{trace.method} {trace.path} took {trace.total_ms:.1f} ms, {slowest.own_ms:.1f} ms of it in {slowest.name}"


def longest(stages: Iterable[Stage], indents: Mapping[str, int]) -> int:
    """How many letters wide the names are with their indents."""
    return max(len(stage.name) + round(1.6 * indents[stage.id]) for stage in stages)


def draw_stage(axes: Axes, row: int, stage: Stage) -> None:
    """Nothing is returned; the stage's bar and its own time are on the axes."""
    colour = COLOURS[stage.kind]
    axes.barh(row, stage.total_ms, left=stage.start_ms, height=0.72, color=shade(colour, 0.28))
    axes.broken_barh([(start, end - start) for start, end in stage.at_work], (row - 0.36, 0.72), facecolor=colour, edgecolor=colour, linewidth=0.8)
    axes.text(1.18, row, f"{stage.own_ms:.2f} ms", transform=axes.get_yaxis_transform(), ha="right", va="center", size=12)


def add_legend(figure: Figure, stages: Iterable[Stage]) -> None:
    """Nothing is returned; the colours of the stages' kinds are explained below the figure."""
    seen = {"crud" if stage.kind == "database" else stage.kind for stage in stages}
    patches = [Rectangle((0, 0), 1, 1, color=COLOURS[kind], label="CRUD, database" if kind == "crud" else kind)
               for kind in COLOURS if kind in seen]
    figure.legend(handles=patches, loc="outside lower left", ncols=len(patches), frameon=False, fontsize=12,
                  handlelength=1, handleheight=1, columnspacing=1.2, handletextpad=0.5)


@styled
def steps(trace: Trace) -> Figure:
    """The stepper's steps below each other, for those who cannot click: full on the way in, empty on the way out."""
    way = trace.steps
    figure, axes = blank(f"{trace.headline}: {len(way)} steps from request to response", 0.9 + 0.34 * len(way))
    axes.set(xlim=(0, 100), ylim=(len(way) - 0.4, -0.6))
    axes.set_axis_off()
    indents = indents_of(trace.stages, helpers=False)
    places = [(1.5 + 1.6 * indents[step.stage.id], row) for row, step in enumerate(way)]
    axes.plot(*zip(*places), color="#C9CED4", linewidth=1.6, zorder=1) if places else None
    for (x, row), step in zip(places, way):
        draw_step(axes, x, row, step)
    return figure


def draw_step(axes: Axes, x: float, row: int, step: Step) -> None:
    """Nothing is returned; the step's dot, its name and what happened are on the axes."""
    colour = COLOURS[step.stage.kind]
    axes.scatter([x], [row], s=110, color="white" if step.way == "out" else colour, edgecolor=colour, linewidth=2,
                 zorder=2)
    axes.text(x + 1.8, row, step.name, va="center", size=12, weight="bold")
    axes.text(44, row, textwrap.shorten(step.text, 58, placeholder=" …"), va="center", size=12, color="#555B62")


# ------------------------------------------------------------------ measurements

@styled
def bars(values: Mapping[str, float], title: str, unit: str, *, lit: str | Iterable[str] = (),
         colours: Mapping[str, str] | None = None, guess: Guess | None = None, note: str = "") -> Figure:
    """One bar a value, with its number; those that the title speaks of are lit, the reader's guess is a broken line.

    The note below the axis says how it was measured.
    """
    lit = {lit} if isinstance(lit, str) else set(lit)
    figure, axes = blank(title, 1.5 + 0.55 * len(values), x=f"{unit}\n{note}".strip())
    shown = [(colours or {}).get(name, ACCENT if name in lit else QUIET) for name in values]
    drawn = axes.barh(list(values), list(values.values()), color=shown, height=0.66)
    axes.bar_label(drawn, [f"{number(value)} {unit}" for value in values.values()], padding=6, size=13, weight="bold")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlim(0, 1.18 * max([*values.values(), guess.value if guess else 0]))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=13)
    if guess:
        axes.axvline(guess.value, color=INK, linestyle="--", linewidth=1.8)
        axes.text(guess.value, -0.55, f" you said {number(guess.value)} {unit}", va="bottom", size=12)
    return figure


@styled
def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x: str, y: str, *,
          lit: str | Iterable[str] = (), colours: Mapping[str, str] | None = None) -> Figure:
    """One line a series of (xs, ys), named at its end; those that the title speaks of are lit."""
    lit = {lit} if isinstance(lit, str) else set(lit)
    figure, axes = blank(title, 5, x=x, y=y)
    for name, (xs, ys) in series.items():
        colour = (colours or {}).get(name, ACCENT if name in lit else FAINT)
        axes.plot(xs, ys, "o-", color=colour, markersize=6, clip_on=False)
        axes.annotate(name, (xs[-1], ys[-1]), xytext=(10, 0), textcoords="offset points", va="center", color=colour,
                      weight="bold", annotation_clip=False)
    axes.set(xlim=(0, max(max(xs) for xs, _ in series.values())), ylim=(0, None))   # the names stand outside
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.grid()
    return figure


@styled
def latencies(values: Mapping[str, Sequence[float]], title: str, unit: str = "ms", *,
              colours: Mapping[str, str] | None = None) -> Figure:
    """For each series the share of its requests that had an answer by then; half, 95 % and 99 % are marked."""
    figure, axes = blank(title, 5, x=f"latency, {unit}", y="share of requests answered, %")
    wheel = [QUIET, ACCENT, COLOURS["crud"], COLOURS["feature"]]
    for place, (name, sample) in enumerate(values.items()):
        ordered = sorted(sample)
        colour = (colours or {}).get(name, wheel[place % len(wheel)] if len(values) > 1 else INK)
        axes.step([0, *ordered], [100 * done / len(ordered) for done in range(len(ordered) + 1)], where="post",
                  color=colour, label=name)
        for share, mark in PERCENTILES.items():
            axes.scatter([percentile(ordered, share)], [share], s=80, color=mark, edgecolor="white", zorder=3)
    for share, mark in PERCENTILES.items():
        axes.axhline(share, color=mark, linewidth=1, linestyle=":", zorder=1)
    axes.set(xlim=(0, None), ylim=(0, 103), yticks=[0, 25, *PERCENTILES])
    axes.legend(frameon=False, loc="lower right", fontsize=13)
    return figure


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share, in per cent, of the ordered values does not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
