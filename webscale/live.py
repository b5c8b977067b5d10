"""A load run that draws itself while it goes on: `result = await load(shop, rate=100, seconds=5, live=True)`.

One figure is made once and given new data five times a second; its PNG goes to an Image widget. When the run has ended,
a picture of the whole run takes the widget's place and is stored with the notebook.
"""
import asyncio
import base64
import io
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
from IPython import get_ipython
from IPython.display import display
from ipywidgets import Button, Image, Layout, VBox
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from PIL import Image as Pixels

from webscale.charts import COLOURS, INK, PERCENTILES, WIDTH, Figure, styled
from webscale.claims import number
from webscale.results import BEYOND, LoadResult
from webscale.runs import Gathered, NotMeasurable, Plan

FRAME_S = 0.2       # between two updates
WINDOW_S = 0.5      # there is a point for each
SHORTEST_S = 0.05   # of a run that is over at once
LOOK_BACK_S = 5     # a percentile is that of the newest answers that are enough for it, but of none before that
SURELY_HERE_S = 0.1   # what happened so long before the last chunk was sent has arrived
HEIGHT, LIVE_DPI = 4.2, 96   # inches; 960 × 403 pixels while it runs
WIDEST = 64   # letters of a title
LINES = {"answers": COLOURS["crud"], "errors": INK, **PERCENTILES}


class Watch:
    """A run that begins when it is awaited, and draws itself; the await gives its result."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __await__(self) -> Generator[object, None, LoadResult]:
        return self.result().__await__()

    async def result(self) -> LoadResult:
        """What the run found; NotMeasurable if the machine was too busy for its effect, twice."""
        for _ in range(2 if self.plan.effect_ms else 1):
            found = await drawn(self.plan, View(self.plan))
            if not self.plan.effect_ms or not found.generator_limited:
                return found
        raise NotMeasurable(f"An effect of {self.plan.effect_ms:g} ms cannot be shown now: {' and '.join(found.limits)}. "
                            "Close what else runs on this machine, and run the cell again.")

    def __repr__(self) -> str:
        return f"<a run of {self.plan.scenario.name} that has not begun: write await in front of load>"


def watched(plan: Plan) -> Watch:
    """An awaitable of what the run found, which draws while the run goes on."""
    return Watch(plan)


async def drawn(plan: Plan, view: "View") -> LoadResult:
    """What the run found; the view showed it. The generator is gone, whatever happened."""
    with shown(view), plan.running() as chunks:
        view.stop.disabled = False
        run, due = UnderWay(plan, chunks), time.monotonic()
        while run.take():
            view.draw(run)
            due = max(due + FRAME_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        found = run.gathered.result()
        view.last = run_figure(found)._repr_png_()
    return found


@contextmanager
def shown(view: "View") -> Iterator[None]:
    """The view is in the notebook, if there is one; at the end of the block its last picture is in its place."""
    in_notebook = hasattr(get_ipython(), "kernel")
    place = display(view, display_id=True) if in_notebook else None
    try:
        yield
    finally:
        if place:
            # nbval does not see this update: the text must be the same as the widget's.
            place.update({"image/png": base64.b64encode(view.last).decode(), "text/plain": repr(view)}, raw=True)
        view.close()


# ------------------------------------------------------------------ a run under way

class UnderWay:
    """A run as far as it has gone: a thread reads its chunks, `take` puts them together."""

    def __init__(self, plan: Plan, chunks: Iterable) -> None:
        self.plan, self.gathered, self.timeline = plan, Gathered(plan), Timeline(plan.config["seconds"])
        self.arriving: queue.SimpleQueue = queue.SimpleQueue()
        self.began: float | None = None   # on our clock
        self.over = False
        threading.Thread(target=read_ahead, args=(chunks, self.arriving), daemon=True).start()

    @property
    def seconds(self) -> float:
        """How long the run has gone on."""
        return time.monotonic() - self.began if self.began else 0.0

    def take(self) -> bool:
        """Whether the run goes on; what has arrived is part of it. RuntimeError if the generator died."""
        with suppress(queue.Empty):
            while not self.over:
                self.add(*self.arriving.get_nowait())
        return not self.over

    def add(self, at: float, chunk: "tuple[dict, dict] | Exception") -> None:
        """Nothing is returned; the chunk, which arrived at that time, is part of the run."""
        if isinstance(chunk, Exception):
            raise chunk
        message, columns = chunk
        self.gathered.add(chunk)
        self.timeline.add(columns, message["failures"])
        latest = max([0, *columns["done"][-1:], *(found for _, found, _ in message["failures"][-1:])])
        self.began = min(self.began or at, at - latest)
        self.over = "end" in message
        whole = self.over and not message["end"]["stopped"]
        self.timeline.close(max(latest, self.plan.config["seconds"]) if whole else at - self.began - SURELY_HERE_S)


def read_ahead(chunks: Iterable, arriving: queue.SimpleQueue) -> None:
    """Nothing is returned; runs in a thread: each chunk was put in the queue with its time, an error as the last."""
    try:
        for chunk in chunks:
            arriving.put((time.monotonic(), chunk))
    except (RuntimeError, ValueError, OSError) as error:   # the generator died, or was ended by us
        arriving.put((time.monotonic(), error))


class Timeline:
    """What happened in each half second of a run: `points` has a row of the names in LINES for each that is over."""

    def __init__(self, seconds: float) -> None:
        self.width = min(WINDOW_S, max(seconds, SHORTEST_S))
        self.latencies: dict[int, list[np.ndarray]] = defaultdict(list)   # by the number of the window
        self.errors: dict[int, int] = defaultdict(int)
        self.points: list[dict] = []

    def add(self, columns: Mapping[str, np.ndarray], failures: list) -> None:
        """Nothing is returned; the answers and failures are in the windows in which they came."""
        windows = (columns["done"] / self.width).astype(int)
        bad = (columns["status"] < 200) | (columns["status"] >= 400)
        for window in np.unique(windows).tolist():
            inside = windows == window
            self.latencies[window].append(1e3 * (columns["done"] - columns["intended"])[inside])
            self.errors[window] += int(np.count_nonzero(bad & inside))
        for _, found, _ in failures:
            self.errors[int(found / self.width)] += 1

    def close(self, until: float) -> None:
        """Nothing is returned; the windows that were over by then have their points."""
        while (len(self.points) + 1) * self.width <= until + 1e-9:
            self.points.append(self.point(len(self.points)))

    def point(self, window: int) -> dict:
        """The window's answers and errors a second, and the percentiles by its end."""
        came = sum(map(len, self.latencies.get(window, [])))
        return {"at": (window + 1) * self.width, "answers": came / self.width,
                "errors": self.errors.get(window, 0) / self.width,
                **{percent: supported(self.newest(window, percent), percent) if came else np.nan for percent in PERCENTILES}}

    def newest(self, window: int, percent: float) -> np.ndarray:
        """The latencies of the window, and of as many before it as the percentile needs, and are not too long ago."""
        parts: list[np.ndarray] = []
        for each in range(window, max(window - round(LOOK_BACK_S / WINDOW_S), -1), -1):
            parts += self.latencies.get(each, [])
            if sum(map(len, parts)) >= needed(percent):
                break
        return np.concatenate(parts)


def needed(percent: float) -> float:
    """How many samples the percentile needs."""
    return BEYOND / (1 - percent / 100) - 1e-6


def supported(values: np.ndarray, percent: float) -> float:
    """That percentile, or not a number if there are too few values for it."""
    return float(np.quantile(values, percent / 100)) if len(values) >= needed(percent) else np.nan


# ------------------------------------------------------------------ the picture

class Picture:
    """A figure of a run: answers and errors a second at the left, percentiles at the right. Made once, shown often."""

    @styled
    def __init__(self, **options: object) -> None:
        self.figure = Figure(figsize=(WIDTH, HEIGHT), layout="none", **options)   # a layout would be found anew each time
        self.title = self.figure.suptitle(" ", x=0.01, ha="left", size=16, weight="bold")
        self.axes = self.figure.subplots(1, 2, gridspec_kw={"left": 0.085, "right": 0.985, "bottom": 0.15, "wspace": 0.22})
        self.lines: dict[object, Line2D] = {}
        self.words: dict[object, Text] = {}
        self.prepare(self.axes[0], ("answers", "errors"), "a second", "s since the start")
        self.prepare(self.axes[1], tuple(PERCENTILES), "latency, ms",
                     f"s since the start; each point: the last {WINDOW_S:g} to {LOOK_BACK_S:g} s")

    def prepare(self, axes: Axes, names: tuple, y: str, x: str) -> None:
        """Nothing is returned; the axes have a line without points for each name, and a word in its colour."""
        axes.set(ylabel=y, xlabel=x)
        axes.grid(axis="y")
        axes.tick_params(labelsize=12)   # ticks that come later are made outside of the style
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        for place, name in enumerate(names):
            style = "o--" if name == "errors" else "o-"
            self.lines[name], = axes.plot([], [], style, markersize=5, color=LINES[name], clip_on=False)
            self.words[name] = axes.text(place / len(names), 1.05, " ", transform=axes.transAxes, size=12, weight="bold",
                                         color=LINES[name])

    def show(self, points: list[dict], seconds: float, title: str, words: Mapping[object, str]) -> None:
        """Nothing is returned; the figure holds the points."""
        if title != self.title.get_text():
            self.title.set_text(title)
            self.figure.subplots_adjust(top=1 - (0.55 + 0.28 * len(title.splitlines())) / HEIGHT)
        at = [point["at"] for point in points]
        for name, line in self.lines.items():
            line.set_data(at, [point[name] for point in points])
            self.words[name].set_text(words[name])
        for axes in self.axes:
            axes.set(xlim=(0, seconds), ylim=(0, room(axes)))


def room(axes: Axes) -> float:
    """Where the axis ends that has room for all its lines: 1, 2 or 5 with noughts."""
    highest = max((value for line in axes.lines for value in line.get_ydata() if value > 0), default=0)
    if not highest:
        return 1.0
    power = 10 ** np.floor(np.log10(highest))
    return float(next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10, 15) if step * power > 1.02 * highest))


class LivePicture(Picture):
    """The picture while it moves, in layers: what stays, the upright axes, the points, the clock."""

    def __init__(self) -> None:
        super().__init__(dpi=LIVE_DPI)
        self.clock = self.figure.text(0.985, 0.93, "", ha="right", size=13)
        self.canvas = FigureCanvasAgg(self.figure)
        self.layers = [[], [axes.yaxis for axes in self.axes], [*self.lines.values(), *self.words.values()]]
        for artist in (self.clock, *self.layers[1], *self.layers[2]):
            artist.set_animated(True)   # the canvas's own draw() leaves it out
        self.drawn_for, self.kept = [None] * 3, [None] * 3

    def frame(self, run: UnderWay, title: str) -> bytes:
        """The PNG of the run as far as it has gone."""
        seconds, answers = run.plan.config["seconds"], sum(map(len, run.gathered.columns["done"]))
        return self.png(run.timeline.points, seconds, title, f"{min(run.seconds, seconds):.1f} s, n = {answers:,}")

    def png(self, points: list[dict], seconds: float, title: str, clock: str = "") -> bytes:
        """The PNG of these points."""
        self.show(points, max([seconds, *(point["at"] for point in points[-1:])]), title, words_of(points))
        self.clock.set_text(clock)
        self.draw([(title, self.axes[0].get_xlim()), [axes.get_ylim() for axes in self.axes], (id(points), len(points))])
        return as_png(self.canvas)

    def draw(self, layers_for: list) -> None:
        """Nothing is returned; the canvas shows the figure, drawn anew from the first layer on that is for something new."""
        anew = False
        for place, artists in enumerate(self.layers):
            anew = anew or layers_for[place] != self.drawn_for[place]
            if anew:
                self.canvas.restore_region(self.kept[place - 1]) if place else self.canvas.draw()
                for artist in artists:
                    self.figure.draw_artist(artist)
                self.kept[place] = self.canvas.copy_from_bbox(self.figure.bbox)
        self.drawn_for = layers_for
        self.canvas.restore_region(self.kept[-1])
        self.figure.draw_artist(self.clock)


def as_png(canvas: FigureCanvasAgg) -> bytes:
    """What was drawn on the canvas. With the least compression it takes 5 ms, and Matplotlib's own would draw once more."""
    encoded = io.BytesIO()
    Pixels.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(encoded, "png", compress_level=1)
    return encoded.getvalue()


def what_is_sent(plan: Plan) -> str:
    """The loop and its load in words."""
    if clients := plan.config["clients"]:
        return f"Closed loop, {clients} {'clients' if clients > 1 else 'client'} for {plan.config['seconds']:g} s"
    return f"Open loop, {len(plan.times):,} requests in {plan.config['seconds']:g} s"


def words_of(points: list[dict]) -> dict:
    """The last point's values in words."""
    last = points[-1] if points else {"answers": 0, "errors": 0, **dict.fromkeys(PERCENTILES, np.nan)}
    return {"answers": f"answers {number(last['answers'])}/s", "errors": f"errors {number(last['errors'])}/s",
            **{percent: in_words(percent, last[percent]) for percent in PERCENTILES}}


def in_words(percent: int, value: float) -> str:
    """The percentile with its unit, or that there are too few samples."""
    return f"p{percent} {number(value)} ms" if value > 0 else f"p{percent} too few"


@styled
def run_figure(found: LoadResult, *how: str) -> Figure:
    """The whole run, for those who were not there; its title says what was found, and how, with these words added."""
    timeline, picture = Timeline(found.seconds), Picture()
    timeline.add({name: getattr(found, name) for name in ("done", "intended", "status")}, found.failures)
    last = max([timeline.width, found.seconds, *found.done[-1:], *(at for _, at, _ in found.failures)])
    timeline.close(last)
    words = {"answers": f"answers {number(found.rate)}/s", "errors": f"errors {found.failed:,}",
             **{percent: in_words(percent, supported(found.latency_ms, percent)) for percent in PERCENTILES}}
    picture.show(timeline.points, last, headline(found, how), words)
    return picture.figure


def headline(found: LoadResult, how: Iterable[str] = ()) -> str:
    """What the run found in words, and how; that the generator was the limit, if it was."""
    best = max(found.supported, default=None)
    failed = f"{found.failed:,} failed, " if found.failed else ""
    latency = f"p{best} {number(found.p(best))} ms" if best else "too few answers for a percentile"
    how = [f"{found.loop} loop", f"n = {len(found.done):,}", *how] + ["stopped early"] * bool(found.facts.get("stopped"))
    lines = [f"{number(found.rate)} answers/s, {failed}{latency}", f"({', '.join(how)})"]
    if sum(map(len, lines)) < WIDEST:
        lines = [" ".join(lines)]
    lines += ["The generator was the limit, not the server:", *found.limits] if found.limits else []
    return "\n".join(lines)


# ------------------------------------------------------------------ the widget

def picture_frame() -> Image:
    """A widget for the PNG, as wide as it is: stretched over the page it would be blurred."""
    return Image(format="png", layout=Layout(width=f"{WIDTH * LIVE_DPI}px", max_width="100%"))


class View(VBox):
    """The picture of a run that goes on, and a button that ends it."""

    def __init__(self, plan: Plan) -> None:
        self.name, self.plan, self.picture = plan.scenario.name, plan, LivePicture()
        self.image, self.stop = picture_frame(), Button(description="Stop", icon="stop", disabled=True)
        super().__init__([self.image, self.stop])
        self.stop.on_click(self.end)
        # The first drawing takes longest: not during the run.
        self.last = self.image.value = self.picture.png([], plan.config["seconds"], what_is_sent(plan))

    def draw(self, run: UnderWay) -> None:
        """Nothing is returned; the run is seen as far as it has gone, and stays so if the widget goes."""
        self.last = self.image.value = self.picture.frame(run, what_is_sent(run.plan))

    def end(self, button: Button) -> None:
        """Nothing is returned; the run comes to its end soon. Called in another thread while the cell waits."""
        button.disabled = True
        self.plan.stop()

    def close(self) -> None:
        """Nothing is returned; the widget and its parts are gone."""
        self.image.close()
        self.stop.close()
        super().close()

    def __repr__(self) -> str:
        return f"<{self.name} under load, as it ran>"

    def _repr_mimebundle_(self, **options: object) -> dict:
        return {**super()._repr_mimebundle_(**options), "text/plain": repr(self)}
