"""The load dashboard: sliders and switches over `serve` and `load`, and what they change, as it happens.

    board = dashboard(levers={"cache": {"product_cache_s": 2}})     a widget with a shop of its own
    board.set(rate=80, replicas=2, on={"cache"}).wait()             the same without a hand on the mouse
"""
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ipywidgets import Button, HBox, IntSlider, Label, Layout, ToggleButton, ToggleButtons, VBox

from webscale.charts import Figure
from webscale.claims import counted
from webscale.live import FRAME_S, LivePicture, UnderWay, picture_frame, run_figure
from webscale.load import load, whole
from webscale.results import LoadResult
from webscale.runs import Plan
from webscale.servers import serve
from webscale.traffic import Scenario

REPLICAS = (1, 2, 4, 8)
SETTLED_S = 0.4   # a run begins so long after the last move of a slider
IDLE_S = 60       # a shop that nobody loads for so long is stopped: no message says that a cell was deleted


@dataclass(frozen=True)
class Wanted:
    """What the dashboard is set to."""

    rate: int
    replicas: int = 1
    on: frozenset[str] = frozenset()


class Dashboard:
    """A shop and a run against it: `.set(rate=, replicas=, on=)`, `.wait()`, `.result`, `.stop()`, `.start()`.

    In a notebook it shows itself with sliders and switches. Runs take place in a thread, one at a time.
    """

    def __init__(self, levers: Mapping[str, dict], *, settings: Mapping, what: "str | Scenario", rate: int, most_rate: int,
                 service_ms: float, seconds: float, example: str) -> None:
        self.levers, self.settings, self.what, self.most_rate = dict(levers), dict(settings), what, most_rate
        self.service_ms, self.seconds, self.example = service_ms, seconds, example
        self.wanted = self.found_with = Wanted(rate)
        self.result: LoadResult | None = None   # of the last run that came to an end
        self.error: Exception | None = None     # of the last that did not
        self.shop, self.shop_for = None, ()
        self.latest = Latest(self.run, self.close_shop)
        self.panel = Panel(self)

    def set(self, rate: int | None = None, replicas: int | None = None, on: Iterable[str] | None = None) -> "Dashboard":
        """The dashboard; a run with these settings begins soon, and ends the one before. ValueError for what none can be."""
        given = {"rate": rate, "replicas": replicas, "on": None if on is None else frozenset(on)}
        wanted = replace(self.wanted, **{name: value for name, value in given.items() if value is not None})
        self.check(wanted)
        self.wanted = wanted
        self.panel.follow(wanted)
        return self.start(SETTLED_S)

    def moved(self, **given: object) -> None:
        """Nothing is returned; what a slider was moved to is set, if it is not so already."""
        if replace(self.wanted, **given) != self.wanted:
            self.set(**given)

    def check(self, wanted: Wanted) -> None:
        """Nothing is returned; ValueError for what cannot be set."""
        if not whole("rate", wanted.rate) <= self.most_rate:
            raise ValueError(f"rate is at most {self.most_rate} here, not {wanted.rate}: see most_rate=.")
        if wanted.replicas not in REPLICAS:
            raise ValueError(f"replicas are {', '.join(map(str, REPLICAS))}, not {wanted.replicas!r}.")
        if unknown := sorted(wanted.on - set(self.levers)):
            raise ValueError(f"There is no lever {unknown[0]!r}; there are: {', '.join(self.levers) or 'none'}.")

    def start(self, after_s: float = 0) -> "Dashboard":
        """The dashboard; a run begins, and that of any other dashboard has ended: there is one machine for all."""
        stop_others(self)
        self.latest.ask(self.wanted, after_s)
        return self

    def stop(self) -> None:
        """Nothing is returned; the run and its shop are gone. What was found until now is `.result`."""
        self.latest.ask(None)
        self.latest.wait()

    def wait(self) -> LoadResult | None:
        """What the run found that was asked for last; the error that it ended with, ServeError and others."""
        self.latest.wait()
        if self.error:
            raise self.error
        return self.result

    def figure(self) -> Figure:
        """The last run's picture, for those who cannot run it."""
        if not self.result:
            raise ValueError("There was no run yet: .set(rate=50).wait() makes one.")
        return run_figure(self.result, *self.words(self.found_with))

    def words(self, wanted: Wanted) -> list[str]:
        """What the run is made against."""
        return [counted(wanted.replicas, "replica"), *sorted(wanted.on)] + ["emulated"] * bool(self.service_ms)

    # -------------------------------------------------------------- in the thread

    def run(self, wanted: Wanted, is_newer: Callable[[], tuple]) -> None:
        """Nothing is returned; the run has taken place, and is the result unless something newer was asked for."""
        self.error = None
        try:
            self.open_shop(wanted)
            if is_newer():
                return self.panel.say("nothing runs")
            self.panel.say("running", busy=True)
            run = load(self.shop, self.what, rate=wanted.rate, seconds=self.seconds, live=True)
            found = self.watch(run.plan, f"{wanted.rate} requests/s, open loop, {', '.join(self.words(wanted))}", is_newer)
        except Exception as error:   # in a thread nobody would see it
            self.error = error
            return self.panel.say(str(error))
        if found:
            self.result, self.found_with = found, wanted
            self.panel.say(repr(found))

    def watch(self, plan: Plan, title: str, is_newer: Callable[[], tuple]) -> LoadResult | None:
        """What the run found; None if another is to take its place."""
        with plan.running() as chunks:
            run = UnderWay(plan, chunks)
            while run.take():
                if newer := is_newer():
                    if newer[0] is not None:
                        return None
                    plan.stop()
                self.panel.draw(run, title)
                time.sleep(FRAME_S)
        self.panel.draw(run, title)
        return run.gathered.result()

    def open_shop(self, wanted: Wanted) -> None:
        """Nothing is returned; a shop runs with these replicas and levers, and no other."""
        settings = dict(self.settings)
        for lever in self.levers:
            settings |= self.levers[lever] if lever in wanted.on else {}
        if self.shop and self.shop.alive and self.shop_for == (wanted.replicas, wanted.on):
            return
        self.close_shop()
        self.panel.say(f"starting the shop, {counted(wanted.replicas, 'replica')} …", busy=True)
        self.shop = serve(self.example, settings=settings, replicas=wanted.replicas, service_ms=self.service_ms)
        self.shop_for = (wanted.replicas, wanted.on)

    def close_shop(self) -> None:
        """Nothing is returned; there is no shop."""
        if self.shop:
            self.shop.stop()
            self.shop = None

    def __repr__(self) -> str:
        return f"<load dashboard of {self.example}: {', '.join(['rate', 'replicas', *self.levers])}>"

    def _repr_mimebundle_(self, **options: object) -> dict:
        return {**self.panel._repr_mimebundle_(**options), "text/plain": repr(self)}


def dashboard(levers: Mapping[str, dict] | None = None, *, settings: Mapping | None = None,
              what: "str | Scenario" = "/products/7", rate: int = 50, most_rate: int = 400, service_ms: float = 20,
              seconds: float = 15, example: str = "01-monolith") -> Dashboard:
    """A dashboard over emulated machines of `service_ms` (0: real ones); nothing runs before Start, or a slider's first move.

    The shop has these `settings`; `levers` are switches: while "cache" of {"cache": {"product_cache_s": 2}} is on, its too.
    """
    board = Dashboard(levers or {}, settings=settings or {}, what=what, rate=rate, most_rate=most_rate,
                      service_ms=service_ms, seconds=seconds, example=example)
    stop_others(board)
    boards.add(board)
    return board


boards: "weakref.WeakSet[Dashboard]" = weakref.WeakSet()


def stop_others(board: Dashboard) -> None:
    """Nothing is returned; no dashboard but this one has a run or a shop: the cell may have been run again."""
    for other in list(boards):
        if other is not board and other.latest.thread:
            other.stop()


class Latest:
    """Does one thing at a time in a thread of its own, and of several that are asked for only the latest.

    `do` gets what was asked, and a function that says what is due by now instead, as a tuple of it. To ask for None, or
    for nothing for a minute, ends the thread, after `tidy`.
    """

    def __init__(self, do: Callable, tidy: Callable[[], None]) -> None:
        self.do, self.tidy = do, tidy
        self.changed = threading.Condition()
        self.asked: tuple = ()   # what is to be done next, and when; empty if there is nothing
        self.busy = False
        self.thread: threading.Thread | None = None

    def ask(self, what: object, after_s: float = 0) -> None:
        """Nothing is returned; this is done next, and nothing that was asked for before and has not begun."""
        with self.changed:
            self.asked = (what, time.monotonic() + after_s)
            if not self.thread and what is not None:
                self.thread = threading.Thread(target=self.work, daemon=True)
                self.thread.start()
            elif not self.thread:
                self.asked = ()
            self.changed.notify_all()

    def wait(self) -> None:
        """Nothing is returned; all that was asked for is done."""
        with self.changed:
            while (self.asked or self.busy) and self.thread and self.thread.is_alive():
                self.changed.wait(0.2)   # on some systems no Ctrl-C reaches who waits longer

    def due(self) -> tuple:
        """What is to be done by now, as a tuple of it; empty if there is nothing."""
        asked = self.asked   # another thread may change it meanwhile
        return asked[:1] if asked and asked[1] <= time.monotonic() else ()

    def work(self) -> None:
        """Nothing is returned; runs in the thread."""
        while (what := self.next()) is not None:
            self.do(what, self.due)
            with self.changed:
                self.busy = False
                self.changed.notify_all()
        self.tidy()
        with self.changed:
            self.busy, self.thread = False, None
            if self.asked:   # while it tidied
                self.ask(self.asked[0])
            self.changed.notify_all()

    def next(self) -> object:
        """What is to be done, once it is due; None if that is to end."""
        until = time.monotonic() + IDLE_S
        with self.changed:
            while not self.due() and time.monotonic() < until:
                self.changed.wait(max(0, (self.asked[1] if self.asked else until) - time.monotonic()))
            (what,), self.asked, self.busy = self.due() or (None,), (), True
            return what


# ------------------------------------------------------------------ the widget

class Panel(VBox):
    """The dashboard's sliders, switches and picture."""

    def __init__(self, board: Dashboard) -> None:
        self.board, self.picture = board, LivePicture()
        self.rate = IntSlider(board.wanted.rate, 1, board.most_rate, description="requests/s", layout=Layout(width="440px"))
        self.replicas = ToggleButtons(options=REPLICAS, description="replicas", style={"button_width": "44px"})
        self.levers = {name: ToggleButton(description=name, layout=Layout(width="auto", flex="0 0 auto")) for name in board.levers}
        self.button = Button(description="Start", icon="play", layout=Layout(width="90px"))
        self.status = Label("nothing runs")
        self.image = picture_frame()
        self.image.value = self.picture.png([], board.seconds, "A shop that waits for its load")
        super().__init__([HBox([self.rate, self.replicas]), HBox([self.button, *self.levers.values()]),
                          self.status, self.image])
        self.rate.observe(lambda change: board.moved(rate=change.new), "value")
        self.replicas.observe(lambda change: board.moved(replicas=change.new), "value")
        for lever in self.levers.values():
            lever.observe(lambda change: board.moved(on=self.switched_on), "value")
        self.button.on_click(lambda button: board.stop() if board.latest.busy else board.start())

    @property
    def switched_on(self) -> frozenset[str]:
        """The names of the levers that are on."""
        return frozenset(name for name, lever in self.levers.items() if lever.value)

    def follow(self, wanted: Wanted) -> None:
        """Nothing is returned; sliders and switches stand as the dashboard is set."""
        self.rate.value, self.replicas.value = wanted.rate, wanted.replicas
        for name, lever in self.levers.items():
            lever.value = name in wanted.on

    def say(self, what: str, busy: bool = False) -> None:
        """Nothing is returned; the line under the sliders says this, and the button what a click on it would do."""
        self.status.value = " ".join(what.split())
        self.button.description, self.button.icon = ("Stop", "stop") if busy else ("Start", "play")

    def draw(self, run: UnderWay, title: str) -> None:
        """Nothing is returned; the run is seen as far as it has gone."""
        self.image.value = self.picture.frame(run, title)

    def close(self) -> None:
        """Nothing is returned; the widget is gone, and so are its run and its shop."""
        super().close()
        self.board.stop()
