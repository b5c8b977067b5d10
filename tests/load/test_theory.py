"""The formulas against the books' own examples, against each other at their limits, and against a slow loop."""
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webscale.theory import (
    UslFit,
    allen_cunneen,
    amdahl,
    erlang_c,
    fit_usl,
    kingman,
    lindley,
    littles_law,
    md1,
    mg1,
    mm1,
    mm1_percentile,
    mmc,
    usl,
    utilisation,
)

SERVICE = 0.005                                   # s
RATES = np.array([1.0, 60.0, 100.0, 160.0, 198])   # per second: a utilisation of 0.005 to 0.99
SEED = 17
MANY = 400_000                                    # requests: the mean of so many is within 2 % of the formula's

MEANS = {   # each with all its arguments but the first
    "mm1": lambda rate: mm1(rate, SERVICE),
    "median": lambda rate: mm1_percentile(rate, SERVICE, 100 * (1 - np.exp(-1))),   # an exponential's mean is its p63.2
    "mmc": lambda rate: mmc(rate, SERVICE, 4),
    "md1": lambda rate: md1(rate, SERVICE),
    "mg1": lambda rate: mg1(rate, SERVICE, 4),
    "kingman": lambda rate: kingman(rate, SERVICE, 2, 0.5),
    "allen_cunneen": lambda rate: allen_cunneen(rate, SERVICE, 4, 2, 0.5),
}


# ------------------------------------------------------------------ how busy

def test_littles_law_counts_those_who_wait_and_those_who_are_served():
    latency = mm1(160, SERVICE)

    present = littles_law(160, latency)

    assert present == pytest.approx(0.8 / (1 - 0.8))   # M/M/1's rho / (1 - rho)


@pytest.mark.parametrize(("servers", "share"), [(1, 1.2), (2, 0.6), (4, 0.3)])
def test_utilisation_is_shared_by_the_servers_and_may_say_that_they_are_too_few(servers, share):
    rate, service = 240, SERVICE

    busy = utilisation(rate, service, servers)

    assert busy == pytest.approx(share)


# ------------------------------------------------------------------ published values

def test_mm1_is_the_gateway_of_jains_book():
    rate, service = 125, 0.002   # Jain, The Art of Computer Systems Performance Analysis (1991), example 31.1

    latency = mm1(rate, service)

    assert utilisation(rate, service) == 0.25
    assert latency == pytest.approx(0.00267, abs=0.000005)


@pytest.mark.parametrize(("rate", "published"), [(100, 0.010), (150, 0.020), (175, 0.040)])
def test_mm1_doubles_whenever_half_of_what_was_free_is_taken(rate, published):
    service = 1 / 200   # the table of a lecture at Western Michigan University, CS 6030

    latency = mm1(rate, service)

    assert latency == pytest.approx(published)


def test_mm1_takes_twice_its_service_when_half_busy():
    rate = 0.5 / SERVICE

    latency = mm1(rate, SERVICE)

    assert latency == pytest.approx(2 * SERVICE)


@pytest.mark.parametrize(("percent", "means"), [(50, 0.693), (90, 2.303), (95, 2.996), (99, 4.605)])
def test_mm1s_percentiles_are_those_of_an_exponential(percent, means):
    mean = mm1(RATES, SERVICE)

    latency = mm1_percentile(RATES, SERVICE, percent)

    assert latency / mean == pytest.approx(means, abs=0.0005)


@pytest.mark.parametrize(("load", "servers", "published"), [
    (3.87, 8, 0.05), (4.08, 10, 0.01),   # an Erlang C table for trunked radio
    (8, 10, 0.409),
    (6, 10, 0.10),                       # a textbook's ten clerks, two customers a minute, three minutes each
    (48, 55, 0.239),                     # mitan.co.uk's call centre: 360 in half an hour, 4 minutes each, 55 agents
])
def test_erlang_c_is_what_the_tables_say(load, servers, published):
    service = 240

    waits = erlang_c(load / service, service, servers)

    assert waits == pytest.approx(published, rel=0.015)


@given(st.integers(1, 60), st.fractions(0, Fraction(999, 1000), max_denominator=1000))
def test_the_recursion_is_the_formula_of_the_books_in_exact_fractions(servers, share):
    load = share * servers
    full = load ** servers / math.factorial(servers) / (1 - share)
    fewer = sum(load ** busy / Fraction(math.factorial(busy)) for busy in range(servers))

    waits = erlang_c(float(share), servers, servers)   # each takes as many seconds as there are servers

    assert waits == pytest.approx(float(full / (fewer + full)), rel=1e-9, abs=1e-300)


def test_mmc_is_the_eye_clinic_of_gross_and_harris():
    rate, service, doctors = 6 / 3600, 20 * 60, 3   # six patients an hour, twenty minutes each

    latency = mmc(rate, service, doctors)

    assert latency / 60 == pytest.approx(28.9, abs=0.05)
    assert littles_law(rate, latency) == pytest.approx(26 / 9)


def test_mmc_is_the_call_centre_of_mitan():
    rate, service, agents = 360 / 1800, 240, 55

    waiting = mmc(rate, service, agents) - service

    assert waiting == pytest.approx(8.2, abs=0.05)


@pytest.mark.parametrize(("share", "speedup", "published"), [
    (0.4, 10, 1.56), (0.2, 10, 1.22), (0.5, 1.6, 1.23),   # Hennessy and Patterson, Computer Architecture
    (0.6, 3, 1.67), (0.6, np.inf, 2.5),                   # Bryant and O'Hallaron, Computer Systems
])
def test_amdahl_is_what_the_textbooks_reckon(share, speedup, published):
    overall = amdahl(share, speedup)

    assert overall == pytest.approx(published, abs=0.005)


# ------------------------------------------------------------------ one formula is another's special case

@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
def test_an_idle_server_takes_its_service_time(mean):
    rates = np.array([0, 1e-9])

    latency = mean(rates)

    assert latency == pytest.approx(SERVICE)


@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
def test_more_requests_wait_longer(mean):
    latency = mean(RATES)

    assert latency.shape == RATES.shape
    assert np.all(np.diff(latency) > 0)


@pytest.mark.parametrize("same", [
    lambda: mg1(RATES, SERVICE, 1),
    lambda: mmc(RATES, SERVICE, 1),
    lambda: kingman(RATES, SERVICE, 1, 1),
    lambda: allen_cunneen(RATES, SERVICE, 1, 1, 1),
], ids=["mg1", "mmc", "kingman", "allen_cunneen"])
def test_with_one_server_and_exponential_service_all_are_mm1(same):
    expected = mm1(RATES, SERVICE)

    latency = same()

    assert latency == pytest.approx(expected)


def test_equal_services_wait_half_as_long_as_exponential_ones():
    exponential = mm1(RATES, SERVICE) - SERVICE

    equal = md1(RATES, SERVICE) - SERVICE

    assert equal == pytest.approx(exponential / 2)


@pytest.mark.parametrize("servers", [1, 2, 16])
def test_allen_cunneen_stretches_the_waiting_of_mmc_by_the_mean_variation(servers):
    rate = servers * 0.9 / SERVICE
    waiting = mmc(rate, SERVICE, servers) - SERVICE

    stretched = allen_cunneen(rate, SERVICE, servers, 4, 2) - SERVICE

    assert stretched == pytest.approx(3 * waiting)


def test_nobody_waits_for_arrivals_and_services_without_variation():
    latency = kingman(RATES, SERVICE, 0, 0)

    assert latency == pytest.approx(SERVICE)


def test_one_server_makes_wait_whoever_finds_it_busy():
    waits = erlang_c(RATES, SERVICE, 1)

    assert waits == pytest.approx(utilisation(RATES, SERVICE))


@pytest.mark.parametrize("servers", [1_000, 10_000])
def test_erlang_c_takes_more_servers_than_a_factorial_can_count(servers):
    beta = 1.5   # Halfin and Whitt's limit (1981): so many square roots of the servers are spare
    above, at = (1 + math.erf(beta / 2 ** 0.5)) / 2, math.exp(-beta ** 2 / 2) / (2 * math.pi) ** 0.5

    waits = erlang_c(servers - beta * servers ** 0.5, 1, servers)

    assert waits == pytest.approx(1 / (1 + beta * above / at), rel=0.05)


def test_rates_down_and_servers_across_make_a_table():
    rates, servers = np.array([[100], [150]]), np.array([1, 2, 3])

    table = mmc(rates, SERVICE, servers)

    assert table.tolist() == [[mmc(rate, SERVICE, count) for count in (1, 2, 3)] for rate in (100, 150)]


# ------------------------------------------------------------------ request by request

def one_by_one(arrivals, services):
    """The latency of each request, reckoned in a plain loop."""
    free, latency = -np.inf, []
    for arrival, service in zip(arrivals, services):
        free = max(free, arrival) + service
        latency.append(free - arrival)
    return latency


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10))), st.floats(-1000, 1000))
def test_lindley_is_the_plain_loop(requests, start):
    gaps, services = np.array(requests).reshape(-1, 2).T
    arrivals = start + np.cumsum(gaps)

    latency = lindley(arrivals, services)

    assert latency == pytest.approx(one_by_one(arrivals, services), abs=1e-9)
    assert np.all(latency >= services)


def test_a_freeze_is_paid_by_all_who_come_meanwhile():
    arrivals, services = [0, 1, 2, 3, 10], [3, 1, 1, 1, 1]

    latency = lindley(arrivals, services)

    assert latency.tolist() == [3, 3, 3, 3, 1]


def test_lindley_takes_one_service_time_for_all():
    arrivals = [0, 0, 5]

    latency = lindley(arrivals, 2)

    assert latency.tolist() == [2, 4, 2]


@pytest.mark.parametrize(("shape", "cv2"), [(1, 1), (4, 0.25), (0.5, 2)])
def test_lindley_tends_to_what_mg1_says(shape, cv2):
    random = np.random.default_rng(SEED)
    arrivals = np.cumsum(random.exponential(1 / 120, MANY))
    services = random.gamma(shape, SERVICE / shape, MANY)

    latency = lindley(arrivals, services)

    assert latency.mean() == pytest.approx(mg1(120, SERVICE, cv2), rel=0.03)


def test_lindleys_percentiles_tend_to_those_of_mm1():
    random = np.random.default_rng(SEED)
    arrivals = np.cumsum(random.exponential(1 / 120, MANY))

    latency = lindley(arrivals, random.exponential(SERVICE, MANY))

    shares = [50, 95, 99]
    assert np.percentile(latency, shares) == pytest.approx(mm1_percentile(120, SERVICE, shares), rel=0.05)


# ------------------------------------------------------------------ what more of it brings

@pytest.mark.parametrize(("share", "limit"), [(0, 1), (0.5, 2), (0.95, 20), (1, np.inf)])
def test_amdahl_ends_at_what_the_rest_takes(share, limit):
    overall = amdahl(share, np.inf)

    assert overall == pytest.approx(limit)


def test_the_usl_without_crosstalk_is_amdahls_law():
    n, contention = np.array([1, 2, 8, 64]), 0.05

    throughput = usl(n, 100, contention, 0)

    assert throughput == pytest.approx(100 * amdahl(1 - contention, n))


@pytest.mark.parametrize(("contention", "crosstalk"), [
    (0, 0), (0.05, 0), (0, 0.001), (0.0277, 0.000104), (1, 0.01), (1, 0),
])
def test_the_fit_recovers_what_the_throughput_was_made_of(contention, crosstalk):
    n = np.array([1, 2, 4, 8, 16, 32])

    fit = fit_usl(n, usl(n, 990, contention, crosstalk))

    assert (fit.rate_of_one, fit.contention) == pytest.approx((990, contention), rel=1e-6, abs=1e-9)
    assert fit.crosstalk == pytest.approx(crosstalk, rel=1e-6, abs=0)   # a trace of it would make a peak
    assert fit.measured_up_to == 32


@given(st.floats(0, 1), st.floats(1, 1e6), st.sets(st.integers(1, 200), min_size=3))
def test_a_fit_to_what_has_no_crosstalk_has_no_peak(contention, rate_of_one, counts):
    n = np.array(sorted(counts))

    fit = fit_usl(n, usl(n, rate_of_one, contention, 0))

    assert fit.peak == np.inf
    assert fit.at(n) == pytest.approx(usl(n, rate_of_one, contention, 0))


def test_the_fit_is_the_one_that_the_usl_package_of_r_publishes():
    n, throughput = [1, 2, 4, 6, 8, 10], [1, 1.8868, 3.0769, 3.5294, 3.5398, 3.3557]   # its tests/coef.R

    fit = fit_usl(n, throughput)

    assert (fit.rate_of_one, fit.contention, fit.crosstalk) == pytest.approx((1, 0.02, 0.02), rel=0.0005)
    assert fit.peak == pytest.approx(7, abs=0.005)


def test_the_fit_finds_the_peak_of_gunthers_benchmark():
    # SPEC SDM91 on a SPARCcenter 2000 (Gunther, Guerrilla Capacity Planning, 2007). R's package, which weighs absolute
    # errors, puts the peak at 97; ours weighs relative ones, so that the small throughputs count as much.
    n, throughput = [1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2]

    fit = fit_usl(n, throughput)

    assert fit.peak == pytest.approx(97, rel=0.05)
    assert fit.at(n) == pytest.approx(throughput, rel=0.08)


def test_three_per_cent_of_noise_move_the_fit_by_a_few_per_cent():
    n = np.repeat([1, 2, 4, 8, 16, 32, 64], 20)
    noise = 1 + 0.03 * np.random.default_rng(SEED).standard_normal(len(n))

    fit = fit_usl(n, noise * usl(n, 1000, 0.03, 0.0005))

    assert (fit.rate_of_one, fit.contention, fit.crosstalk) == pytest.approx((1000, 0.03, 0.0005), rel=0.06)
    assert fit.at(n) == pytest.approx(usl(n, 1000, 0.03, 0.0005), rel=0.02)


def test_without_crosstalk_the_fit_is_amdahls_law_even_where_there_is_some():
    n = np.array([1, 2, 4, 8])

    fit = fit_usl(n, usl(n, 100, 0.05, 0.01), crosstalk=False)

    assert (fit.crosstalk, fit.peak) == (0, np.inf)
    assert 0.05 < fit.contention < 0.2   # it takes the blame
    assert fit_usl(n, usl(n, 100, 0.05, 0), crosstalk=False).contention == pytest.approx(0.05)


def test_what_grows_faster_than_n_is_fitted_without_a_negative_contention():
    n, throughput = [1, 2, 4, 8], [100, 210, 430, 870]

    fit = fit_usl(n, throughput)

    assert (fit.contention, fit.crosstalk, fit.peak) == (0, 0, np.inf)
    assert fit.rate_of_one == pytest.approx(105, rel=0.02)


def test_what_falls_from_the_start_is_fitted_with_all_of_the_work_contended():
    n, throughput = [1, 2, 4, 8], [100, 50, 20, 6]

    fit = fit_usl(n, throughput)

    assert 0 <= fit.contention <= 1
    assert fit.peak == 1


def test_the_fit_weighs_relative_errors_and_not_absolute_ones():
    n, throughput = np.array([1, 2, 3]), np.array([90, 200, 300])   # 10 % off at the smallest

    fit = fit_usl(n, throughput)

    weights = n / throughput   # a straight line's best rate, by hand
    assert fit.rate_of_one == pytest.approx(np.sum(1 / weights ** 2) / np.sum(1 / weights))


def test_throughput_is_highest_at_the_peak():
    fit = UslFit(990, 0.001, 0.00001, 400)   # R's package puts this peak at 320, to two digits

    around = fit.at(fit.peak * np.array([0.99, 1, 1.01]))

    assert fit.peak == pytest.approx(316, abs=0.5)
    assert np.argmax(around) == 1


def test_a_fit_prints_as_one_line():
    fit = UslFit(990.0, 0.03, 0.0005, 64.0)

    line = repr(fit)

    assert line == "<one 990 req/s, contention 3 %, crosstalk 0.05 %, peak at 44, measured up to 64>"


# ------------------------------------------------------------------ what is refused, and with which words

def test_a_fit_speaks_of_twice_what_was_measured_and_not_of_more():
    fit = UslFit(990, 0.03, 0.0005, 8)

    assert fit.at(16) == usl(16, 990, 0.03, 0.0005)
    with pytest.raises(ValueError, match="n = 64 .* ends at 8: .* ask for 16 at most"):
        fit.at([1, 64])


@pytest.mark.parametrize("rate", [200, 250, [100, 250]])
@pytest.mark.parametrize("mean", [MEANS[name] for name in MEANS if name not in ("mmc", "allen_cunneen")])
def test_an_overloaded_server_has_no_steady_state(mean, rate):
    with pytest.raises(ValueError, match="utilisation of 1.* no steady state.* Lower the rate"):
        mean(np.array(rate))


@pytest.mark.parametrize("latency", [erlang_c, mmc, lambda *args: allen_cunneen(*args, 1, 1)])
def test_overloaded_servers_have_no_steady_state(latency):
    with pytest.raises(ValueError, match="utilisation of 1.5 has no steady state.* add servers"):
        latency(600, SERVICE, 2)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: mm1(-1, SERVICE), "The rate must be .* at least 0, and here it is -1"),
    (lambda: mm1([1, np.nan], SERVICE), "The rate must be .* here it is nan"),
    (lambda: littles_law(1, np.inf), "The latency must be a finite number.* inf"),
    (lambda: mm1_percentile(1, SERVICE, 0.95), "per cent.* 0.95.* Write 95"),
    (lambda: mm1_percentile(1, SERVICE, 100), "below 100"),
    (lambda: mg1(1, SERVICE, -1), "squared coefficient of variation must be .* -1"),
    (lambda: mmc(1, SERVICE, 2.5), "servers must be whole.* 2.5"),
    (lambda: mmc(1, SERVICE, 0), "servers must be .* 1 to 100,000, and here it is 0"),
    (lambda: amdahl(95, 2), "The share must be .* 0 to 1, and here it is 95"),
    (lambda: amdahl(0.5, 0), "The speed-up must be above 0"),
    (lambda: usl(0, 100, 0, 0), "n must be .* at least 1"),
    (lambda: usl(2, 100, 3, 0), "The contention must be .* 0 to 1"),
])
def test_an_impossible_argument_is_named_with_its_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(("arrivals", "services", "words"), [
    ([0, 2, 1], 1, "in order, and here they go 2, 1. Sort them"),
    ([0, np.nan], 1, "finite.* 0, nan"),
    ([np.inf], 1, "finite.* inf"),
    (3, 1, "two lists of the same length, or one service time for all"),
    ([0, 1], [1, 2, 3], r"shapes are \(2,\) and \(3,\)"),
    ([0, 1], -1, "A service time must be .* -1"),
])
def test_lindley_says_which_requests_cannot_be(arrivals, services, words):
    with pytest.raises(ValueError, match=words):
        lindley(arrivals, services)


@pytest.mark.parametrize(("n", "throughput", "words"), [
    ([1, 2, 2], [10, 20, 21], "2 different n cannot tell apart. Measure at 3 or more"),
    ([], [], "0 different n"),
    ([1, 2, 3], [10, 20], r"shapes are \(3,\) and \(2,\)"),
    ([1, 2, 3], [10, 0, 30], "A throughput must be above 0, and here it is 0"),
    ([1, 2, 3], [10, np.nan, 30], "A throughput must be a finite number.* nan"),
    ([0, 1, 2], [10, 20, 30], "n must be .* at least 1, and here it is 0"),
])
def test_the_fit_says_what_it_needs(n, throughput, words):
    with pytest.raises(ValueError, match=words):
        fit_usl(n, throughput)
