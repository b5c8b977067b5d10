"""The score, and the files that a notebook's long measurements lie in."""
import numpy as np

from webscale import measure
from webscale.results import LoadResult
from webscale.servers import serve


def a_run(latencies_ms, seconds=3, failures=()):
    """A run of evenly spaced requests that took so long."""
    intended = np.arange(len(latencies_ms)) * seconds / len(latencies_ms)
    count = len(intended)
    return LoadResult(name="made up", loop="open", seconds=seconds, intended=intended, sent=intended,
                      done=intended + np.array(latencies_ms) / 1e3, status=np.full(count, 200), bytes=np.zeros(count),
                      step=np.zeros(count, int), failures=failures, offered=count, cpu=0.1)


def test_a_score_is_the_rate_of_the_best_half_second_that_met_the_goal():
    run = a_run([10] * 300 + [500] * 300)

    assert measure.best_window(run, goal_ms=100) == (200, False)


def test_a_run_that_met_the_goal_to_its_end_says_so():
    assert measure.best_window(a_run([10] * 600), goal_ms=100) == (200, True)


def test_a_stall_is_forgiven_and_an_overload_is_not():
    rising = [10] * 100 + [500] * 20 + [10] * 180 + [500] * 220 + [10] * 80

    assert measure.best_window(a_run(rising), goal_ms=100) == (200, False)
    assert measure.best_window(a_run([500] * 220 + [10] * 380), goal_ms=100) == (0, False)


def test_a_failed_request_has_missed_any_goal():
    failures = tuple((at, at, "timeout") for at in np.arange(0.1, 3, 0.2))

    assert measure.best_window(a_run([10] * 600, failures=failures), goal_ms=100) == (0, False)


def test_a_score_is_found_although_less_was_expected():
    with serve("01-monolith", service_ms=20) as server:
        assert 25 <= measure.score(server, "/livez", expected=20) <= 75   # 50 are possible


def test_each_row_of_the_board_keeps_the_levers_above_it():
    settings = [measure.settings_up_to(lever) for lever in measure.LEVERS]

    assert settings[0] == measure.NAIVE
    assert all(after.items() >= {**before, **lever.settings}.items()
               for before, after, lever in zip(settings, settings[1:], measure.LEVERS[1:]))


def test_every_stored_measurement_says_when_where_and_how():
    for notebook, parts in measure.NOTEBOOKS.items():
        for name in parts:
            rows, notes = measure.stored(f"{notebook}-{name}")
            assert rows and notes.startswith("measured 20") and " cores, " in notes and "loop" in notes


def test_what_is_saved_can_be_read(tmp_path):
    measure.save("99", "try", [{"lever": "one, two", "score": 1234.5678}], "by hand", tmp_path)

    rows, notes = measure.stored("99-try", tmp_path)

    assert rows == [{"lever": "one, two", "score": 1235.0}]
    assert notes.endswith("by hand")
