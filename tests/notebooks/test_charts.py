import base64
import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import matplotlib
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_hex
from PIL import Image

from webscale import charts
from webscale.claims import predict

OKABE_ITO = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"}
SHOWN = """
from IPython.core.interactiveshell import InteractiveShell
import json, sys
shell = InteractiveShell.instance()
if "pyplot" in sys.argv:
    shell.run_cell("import matplotlib.pyplot as plt")
shell.run_cell("from webscale.charts import request_path; figure = request_path('router')")
data, _ = shell.display_formatter.format(shell.user_ns["figure"])
import matplotlib.pyplot
print(json.dumps([data["text/plain"], len(data["image/png"]), matplotlib.pyplot.get_fignums()]))
"""


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text()]


def test_every_kind_of_stage_has_a_colour_that_the_colour_blind_can_tell():
    assert set(charts.COLOURS.values()) <= OKABE_ITO
    repeated = {kind for kind, colour in charts.COLOURS.items() if Counter(charts.COLOURS.values())[colour] > 1}
    assert repeated == {"crud", "database"}


def figures(trip):
    return {
        "path": charts.request_path(),
        "waterfall": charts.waterfall(trip),
        "steps": charts.steps(trip),
        "bars": charts.bars({"one": 1.0, "two": 2000.0}, "Two is more", "ms", lit="two", guess=predict("two", 10, "ms")),
        "lines": charts.lines({"one": ([1, 2], [3, 4])}, "It rises", x="rows", y="ms", lit="one"),
        "latencies": charts.latencies({"a": [1, 2, 3], "b": [2, 4]}, "b is slower"),
    }


def test_letters_are_legible_on_a_projector(trip):
    for figure in (drawn := figures(trip)).values():
        figure.draw_without_rendering()   # the numbers at the axes do not exist before

    sizes = {name: min(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip())
             for name, figure in drawn.items()}

    assert min(sizes.values()) >= 12, sizes


def test_every_figure_has_a_title_and_the_same_width(trip):
    for name, figure in figures(trip).items():
        assert figure.get_suptitle(), name
        assert figure.get_figwidth() == charts.WIDTH, name


def test_nothing_is_cut_off(trip):
    for name, figure in figures(trip).items():
        picture = Image.open(io.BytesIO(figure._repr_png_())).convert("L")
        edge = picture.crop((picture.width - 2, 0, picture.width, picture.height))
        assert edge.getextrema()[0] > 250, name


@pytest.mark.parametrize("before", ["nothing", "pyplot"])
def test_a_notebook_shows_a_figure_once_and_needs_no_magic(before):
    done = subprocess.run([sys.executable, "-c", SHOWN, before], capture_output=True, text=True, check=True, timeout=60,
                          encoding="utf-8")

    text, size, left_to_pyplot = json.loads(done.stdout.splitlines()[-1])
    assert text == "<Figure size 1200x600 with 1 Axes>"
    assert size > 5000
    assert left_to_pyplot == []   # pyplot would show what it knows a second time, below the cell


def test_a_figure_is_a_png_for_ipython(trip):
    data, _ = DisplayFormatter().format(charts.waterfall(trip))

    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG") if isinstance(data["image/png"], str) \
        else data["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("lit", [lit for lit in charts.SAID if lit != "all"])
def test_the_picture_lights_one_stage_and_says_what_it_does(lit):
    figure = charts.request_path(lit)

    full = {to_hex(patch.get_facecolor()).upper() for patch in figure.axes[0].patches} & set(charts.COLOURS.values())
    assert full == {charts.COLOURS[lit]}
    assert figure.get_suptitle().replace("\n", " ") == charts.SAID[lit]


def test_the_picture_lights_every_stage_unless_told_which():
    faces = {to_hex(patch.get_facecolor()).upper() for patch in charts.request_path().axes[0].patches}

    assert {charts.COLOURS[lit] for lit in charts.SAID if lit != "all"} <= faces


def test_an_unknown_stage_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no stage 'routr' on the picture; choose one of all, client, middleware, router"):
        charts.request_path("routr")


def test_the_waterfalls_title_is_its_finding(trip):
    assert charts.waterfall(trip).get_suptitle() == \
        "GET /products/<7> took 20.0 ms, 10.0 ms of it in\ncatalog.crud.find"


def test_the_finding_names_the_applications_stage_that_took_most(trip):
    own = {"client": 15.0, "Router": 12.0}
    slow = replace(trip, stages=tuple(replace(stage, own_ms=own.get(stage.name, 1.0)) for stage in trip.stages))

    assert charts.finding(slow).endswith("12.0 ms of it in Router")


def test_the_waterfall_reaches_to_the_end_of_what_ended_last(trip):
    late = replace(trip, stages=(trip.stages[0], replace(trip.stages[1], end_ms=23.0), *trip.stages[2:]))

    assert charts.waterfall(late).axes[0].get_xlim() == (0, 23.0)


def test_the_waterfall_is_dark_where_a_stage_was_at_work_and_pale_where_another_was(trip):
    at_work = ((5.0, 6.0), (14.0, 15.0))
    trip = replace(trip, stages=(*trip.stages[:-1], replace(trip.stages[-1], at_work=at_work)))

    axes = charts.waterfall(trip).axes[0]

    dark = {(path.get_extents().x0, path.get_extents().x1) for path in axes.collections[-1].get_paths()}
    assert dark == set(at_work)
    pale = next(bar for bar in axes.patches if bar.get_y() + bar.get_height() / 2 == 5)
    assert (pale.get_x(), pale.get_width()) == (5.0, 10.0)
    assert to_hex(pale.get_facecolor()) == charts.shade(charts.COLOURS["crud"], 0.28)


def test_a_trace_without_stages_is_refused_with_the_reason(trip):
    with pytest.raises(ValueError, match="nothing to draw: The server answered by itself"):
        charts.waterfall(replace(trip, stages=(), note="The server answered by itself"))


def test_the_steps_stand_below_each_other_as_the_stepper_shows_them(trip):
    names = [text for text in texts(charts.steps(trip)) if text in {step.name for step in trip.steps}]

    assert names == [step.name for step in trip.steps]


def test_a_bar_bears_its_number_and_unit_and_begins_at_zero():
    figure = charts.bars({"one": 1.0, "two": 4850.0}, "Two is more", "ms", lit="two", guess=predict("two", 10, "ms"))

    assert {"1 ms", "4,850 ms", " you said 10 ms"} <= set(texts(figure))
    assert figure.axes[0].get_xlim()[0] == 0


def test_only_what_is_lit_has_the_accent():
    figure = charts.bars({"one": 1.0, "two": 2.0}, "Two is more", "ms", lit="two")

    assert [to_hex(bar.get_facecolor()).upper() for bar in figure.axes[0].patches] == [charts.QUIET, charts.ACCENT]


def test_a_line_is_named_at_its_end_and_both_axes_begin_at_zero():
    figure = charts.lines({"with an index": ([1, 2], [3, 4])}, "It rises", x="rows", y="ms")

    assert "with an index" in texts(figure)
    assert figure.axes[0].get_xlim() == (0, 2) and figure.axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize(("share", "value"), [(50, 50), (95, 95), (99, 99)])
def test_percentiles_of_a_hundred_values(share, value):
    assert charts.percentile(list(range(1, 101)), share) == value


def test_a_percentile_of_one_value_is_that_value():
    assert charts.percentile([7], 50) == 7


def test_the_style_works_more_than_once_and_leaves_nothing_behind():
    for _ in range(2):
        with charts.styled:
            charts.request_path()
            assert matplotlib.rcParams["font.size"] == charts.STYLE["font.size"]

    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
