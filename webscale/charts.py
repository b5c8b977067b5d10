"""The series' figures, one function each. A figure states its message: its title is what one would say aloud."""
from collections.abc import Iterable, Sequence

import matplotlib
import matplotlib.figure
from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

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

    def _repr_png_(self) -> str:
        return print_figure(self, base64=True)


styled = matplotlib.rc_context(STYLE)


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
    figure = Figure(figsize=(WIDTH, 5))
    axes = figure.add_subplot(xlim=(0, 100), ylim=(0, 50))
    axes.set_axis_off()
    axes.set_title(SAID[lit])
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
        arrow(axes, [(86, y + 4.4), (90, 30 + (y + 4.4 - 30) * 0.35)], "crud", lit)
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
