"""Runs that are looked on: the same result, a picture that moves, and an end whenever one wants it."""
import _thread
import asyncio
import signal
import statistics
import threading
import time
from dataclasses import replace

import nbformat
import numpy as np
import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from rude_servers import generators

from webscale.live import LINES, Timeline, View, drawn, headline, run_figure
from webscale.load import load
from webscale.runs import NotMeasurable

CELLS = [
    "from webscale.servers import serve\nfrom webscale.load import load\nshop = serve('01-monolith')",
    "result = await load(shop, rate=50, seconds=1, live=True)",
    "import warnings; from ipywidgets import Image; warnings.simplefilter('ignore')",
    "len(result.done), [widget for widget in Image.widgets.values() if isinstance(widget, Image)]",
]


def awaited(run, within_s=30):
    async def waiting():
        return await asyncio.wait_for(run, within_s)

    return asyncio.run(waiting())


@pytest.fixture
def seen(shop):
    """A view of a run of 2 s at 100 requests/s, and when its picture changed."""
    view, times = View(load(shop, rate=100, seconds=2, live=True).plan), []
    view.image.observe(lambda change: times.append(time.perf_counter()), "value")
    return view, times


def columns(done, latency_s=0.002, status=200):
    done = np.array(done, dtype=float)
    return {"done": done, "intended": done - latency_s, "status": np.full(len(done), status)}


@pytest.fixture(scope="module")
def kernel():
    """A notebook's kernel, with a shop in it."""
    manager, client = start_new_kernel()
    client.execute_interactive(CELLS[0], timeout=30)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel()


@pytest.mark.parametrize(("how", "loop"), [({"rate": 200}, "open"), ({"clients": 3}, "closed")])
def test_a_run_that_is_looked_on_finds_what_another_does(shop, how, loop):
    result = awaited(load(shop, seconds=1, live=True, **how))

    assert (result.loop, result.failed, len(result.done)) == (loop, 0, result.offered)
    assert result.offered == 200 or loop == "closed"
    assert np.all(np.diff(result.done) >= 0)


def test_a_run_that_nobody_awaits_says_so_and_does_not_begin(shop):
    assert repr(load(shop, rate=100, seconds=1, live=True)) == \
        "<a run of /products/7 that has not begun: write await in front of load>"
    assert generators() == []


def test_the_picture_changes_at_least_four_times_a_second(seen):
    view, times = seen
    awaited(drawn(view.plan, view))

    assert len(times) >= 8


def test_an_update_takes_less_than_50_ms(seen):
    view, took = seen[0], []
    draw = view.draw

    def timed(run):
        start = time.thread_time()   # of our own: the machine may be busy
        draw(run)
        took.append(time.thread_time() - start)

    view.draw = timed
    awaited(drawn(view.plan, view))

    assert statistics.median(took) < 0.05


def test_stop_ends_the_run_and_keeps_what_was_found(seen):
    view, _ = seen
    threading.Timer(1, view.stop.click).start()

    result = awaited(drawn(view.plan, view))

    assert result.facts["stopped"] and result.seconds < 1.8
    assert 50 < result.offered == len(result.done) < 180
    assert "stopped early" in headline(result)


def test_to_cancel_it_ends_the_generator(shop):
    with pytest.raises(asyncio.TimeoutError):
        awaited(load(shop, rate=50, seconds=30, live=True), within_s=1.5)

    assert generators() == []


@pytest.fixture
def interruptible():
    """Ctrl-C reaches this process, even if it was started in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_generator(shop, interruptible):
    threading.Timer(1.5, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        awaited(load(shop, rate=50, seconds=30, live=True))

    assert generators() == []


def test_a_kernels_interrupt_ends_the_generator(kernel):
    manager, client = kernel
    threading.Timer(3, manager.interrupt_kernel).start()
    reply = client.execute_interactive("await load(shop, rate=50, seconds=30, live=True)", timeout=20,
                                       output_hook=lambda message: None)

    assert reply["content"]["ename"] in ("CancelledError", "KeyboardInterrupt")
    processes = psutil.Process(manager.provisioner.pid).children()
    assert [process for process in processes if "webscale.generator" in process.cmdline()] == []


def test_a_run_that_is_over_at_once_is_drawn_too(shop):
    result = awaited(load(shop, rate=[0], live=True), within_s=5)

    assert len(result.done) == 1
    assert len(run_figure(result).axes[0].lines[0].get_xdata()) < 20


def test_a_generator_that_dies_is_an_error_and_nothing_hangs(seen):
    view, _ = seen
    threading.Timer(1, lambda: view.plan.process.kill()).start()

    with pytest.raises(RuntimeError, match="ended in the middle of its run"):
        awaited(drawn(view.plan, view), within_s=5)


def test_a_run_that_cannot_show_its_effect_is_repeated_and_then_refused(shop):
    with pytest.raises(NotMeasurable, match="An effect of 0.001 ms"):
        awaited(load(shop, rate=300, seconds=1, effect_ms=0.001, live=True))


def test_half_seconds_hold_what_happened_in_them():
    timeline = Timeline(2)
    timeline.add(columns(np.arange(0, 1, 0.01)), [(0.6, 0.7, "refused")])
    timeline.add(columns([1.1], status=503), [])
    timeline.close(1.6)

    assert [point["at"] for point in timeline.points] == [0.5, 1, 1.5]
    assert [point["answers"] for point in timeline.points] == [100, 100, 2]
    assert [point["errors"] for point in timeline.points] == [0, 2, 2]


@pytest.mark.parametrize(("a_second", "shown"), [(20, []), (40, [50]), (400, [50, 95]), (2_000, [50, 95, 99])])
def test_a_percentile_is_shown_from_the_half_second_on_that_has_samples_enough(a_second, shown):
    timeline = Timeline(5)
    timeline.add(columns(np.arange(0, 0.5, 1 / a_second)), [])
    timeline.close(0.5)

    assert [name for name in LINES if name in (50, 95, 99) and timeline.points[0][name] > 0] == shown


def test_a_percentile_looks_back_as_far_as_it_must_and_no_further():
    timeline = Timeline(30)
    timeline.add(columns(np.arange(0, 10, 1 / 40), latency_s=0.1), [])
    timeline.add(columns(np.arange(10, 30, 1 / 40), latency_s=0.2), [])
    timeline.close(30)

    assert [round(timeline.points[place][50]) for place in (0, 19, 20)] == [100, 100, 200]
    assert [timeline.points[place][95] > 0 for place in (8, 9)] == [False, True]
    assert all(np.isnan(point[99]) for point in timeline.points)   # a thousand answers take 25 s


def test_half_a_second_without_an_answer_has_no_percentile():
    timeline = Timeline(3)
    timeline.add(columns([*np.arange(0, 1, 0.01), *np.arange(1.5, 2, 0.01)]), [])
    timeline.close(2)

    assert [point[50] > 0 for point in timeline.points] == [True, True, False, True]


def test_errors_are_drawn_and_told():
    result = awaited(load("http://127.0.0.1:1", "/", rate=50, seconds=1, live=True))   # where nobody listens

    assert result.errors == {"refused": 50}
    assert list(run_figure(result).axes[0].lines[1].get_ydata()) == [50, 50]
    assert headline(result) == "0 answers/s, 50 failed, too few answers for a percentile\n(open loop, n = 0)"


def test_the_title_says_how_it_was_measured_and_whether_the_generator_was_the_limit(shop):
    result = replace(awaited(load(shop, rate=300, seconds=1, live=True)), cpu=0.97)

    title = run_figure(result, "emulated").get_suptitle()

    assert "(open loop, n = 300, emulated)" in title
    assert "The generator was the limit, not the server:\nthe generator used 97% of a core" in title


def test_in_a_notebook_a_picture_stays_and_the_widget_goes():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.data["text/plain"] == "</products/7 under load, as it ran>"
    assert notebook.cells[3].outputs[0].data["text/plain"] == "(50, [])"
