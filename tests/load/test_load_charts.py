"""The figures of load runs: what they draw, and what they say of how it was measured."""
from dataclasses import replace

import numpy as np
import pytest

from webscale.load import Sweep, load
from webscale.load_charts import knee, over_time, percentile_curves


@pytest.fixture(scope="module")
def run(shop):
    """Fifty requests in half a second."""
    return load(shop, rate=100, seconds=0.5)


def first(run, count):
    """A run of the first so many requests."""
    return replace(run, **{name: getattr(run, name)[:count] for name in ("intended", "sent", "done")})


def test_each_request_is_a_dot_at_its_intended_moment(run):
    (axes,) = over_time({"calm": run}, "Calm").axes

    dots = axes.collections[0].get_offsets()

    assert len(dots) == 50
    assert np.allclose(dots, np.column_stack([run.intended, run.latency_ms]))


def test_panels_share_one_scale_that_begins_at_zero(run):
    slow = replace(run, done=run.done + 1)

    one, other = over_time({"quick": run, "slow": slow}, "Two runs").axes

    assert one.get_ylim() == other.get_ylim()
    assert one.get_ylim()[0] <= 0 and one.get_ylim()[1] > slow.latency_ms.max()


def test_a_figure_says_which_loop_and_how_many_requests_each_run_has(run):
    polite = replace(first(run, 30), loop="closed")

    label = over_time({"closed": polite, "open": run}, "Two loops").axes[-1].get_xlabel()

    assert label.endswith("\n(closed loop and open loop, n = 30 and 50)")


def test_a_figure_says_whether_machines_are_emulated_and_the_generator_was_the_limit(run):
    starved = replace(run, cpu=0.97)

    (one,) = percentile_curves({"starved": starved}, "One run", emulated=True).axes
    (some,) = percentile_curves({"starved": starved, "well": run}, "Two runs").axes

    assert one.get_xlabel().endswith("(open loop, n = 50, emulated machine, the generator was the limit)")
    assert some.get_xlabel().endswith("(open loop, n = 50 and 50, the generator was the limit of some)")


def test_many_runs_are_summed_up_by_the_least_and_the_most_requests(run):
    found = Sweep(tuple((rate, first(run, 5 * rate)) for rate in range(1, 8)))

    (axes,) = knee(found, {}, "Seven runs").axes

    assert axes.get_xlabel().endswith("(open loop, n = 5 to 35 each)")


def test_a_percentile_curve_ends_where_its_samples_do(run):
    (axes,) = percentile_curves({"calm": run}, "As far as it goes").axes

    assert axes.lines[0].get_xdata()[-1] == pytest.approx(-np.log10(10 / 50))
