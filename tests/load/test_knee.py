"""Latency over rate from stored measurements: what the picture says of a goal."""
import pytest

from webscale.knee import knee_explorer, knee_figure

KNEE = [{"rate": rate, "replicas": count, "p50_ms": 20, "p95_ms": 20 + rate / count, "p99_ms": 20 + 2 * rate / count}
        for count in (1, 2) for rate in (40, 10, 30, 20)]


@pytest.mark.parametrize(("goal_ms", "replicas", "title"), [
    (60, 1, "1 replica: p99 within 60 ms up to 20 requests/s, and not at 30"),
    (60, 2, "2 replicas: p99 within 60 ms up to 40 requests/s, the highest that was measured"),
    (39, 1, "1 replica: no rate that was measured has a p99 within 39 ms"),
])
def test_the_title_names_the_highest_rate_that_meets_the_goal(goal_ms, replicas, title):
    assert knee_figure(KNEE, goal_ms, replicas).get_suptitle() == title


def test_a_rate_beyond_one_that_missed_the_goal_does_not_count():
    lucky = [{**row, "p99_ms": 20} if row["rate"] == 40 else row for row in KNEE]

    assert " up to 20 requests/s" in knee_figure(lucky, 60, 1).get_suptitle()


def test_a_percentile_that_could_not_be_measured_meets_no_goal():
    unknown = [{**row, "p99_ms": "" if row["rate"] > 10 else row["p99_ms"]} for row in KNEE]

    assert " up to 10 requests/s" in knee_figure(unknown, 60, 1).get_suptitle()


def test_the_figure_begins_at_zero_and_says_how_it_was_measured():
    (axes,) = knee_figure(KNEE, 60, loop="open", n=500, emulated=True).axes

    assert (axes.get_xlim()[0], axes.get_ylim()[0]) == (0, 0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("requests/s\n(open loop, n = 500 at each rate, emulated machines)", "latency, ms")


def test_measurements_can_lie_in_a_file(tmp_path):
    path = tmp_path / "knee.csv"
    rows = [",".join(str(row[name]) for name in KNEE[0]) for row in KNEE]
    path.write_text("\n".join(["# measured one day", ",".join(KNEE[0]), *rows]), "utf-8")

    assert knee_figure(path, 60, 2).get_suptitle() == knee_figure(KNEE, 60, 2).get_suptitle()


def test_a_missing_column_or_number_of_replicas_is_named():
    with pytest.raises(ValueError, match="there is no 'p95_ms'"):
        knee_figure([{name: value for name, value in row.items() if name != "p95_ms"} for row in KNEE])
    with pytest.raises(ValueError, match="with 3 replicas; there are: 1 and 2"):
        knee_figure(KNEE, 60, 3)


def test_the_explorers_sliders_change_its_picture():
    explorer, pictures = knee_explorer(KNEE, 60), []
    explorer.image.observe(lambda change: pictures.append(change.new), "value")
    explorer.goal.value = 80
    explorer.replicas.value = 2

    assert len(set(pictures)) == 2
    assert explorer.knee.figure.get_suptitle() == knee_figure(KNEE, 80, 2).get_suptitle()


def test_the_explorer_is_one_line_in_text():
    explorer = knee_explorer(KNEE, 60)
    explorer.goal.value = 80

    assert explorer._repr_mimebundle_()["text/plain"] == "<knee explorer: p99 of 8 measurements; replicas: 1 and 2>"
