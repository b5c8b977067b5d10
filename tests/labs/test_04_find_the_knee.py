"""Lab 04 grades what it should: the starter fails, the solution passes, and each plausible mistake is named."""
import re

import pytest

SETUP = ["setup", "far", "loop", "latencies"]
CHECKS = {
    "service-time": ["service-time-check", "service-time-hidden"],
    "measure": ["measure-check", "measure-hidden"],
    "latency": ["latency-check", "latency-hidden"],
    "replicas-for": ["replicas-for-check", "replicas-for-hidden"],
    "rehearse": ["rehearse-check", "rehearse-hidden"],
}

SERVICE_TIME_MISTAKES = {
    "milliseconds": ("in seconds", """
return 1e3 / load(server, clients=8, seconds=0.5).rate
"""),
    "one idle client": ("You measured with one idle client", """
return 1 / load(server, clients=1, seconds=0.5).rate
"""),
    "the known number": ("use the parameter", "return 0.020"),
    "always one machine": ("use the parameter", """
return 1 / load(shop, clients=8, seconds=0.5).rate
"""),
}

SWEEP = """
return sweep(lambda rate: load(server, rate=rate, seconds=100 / rate, arrivals="poisson"), over=rates)
"""
MEASURE_MISTAKES = {
    "a closed loop": ("You measured in a closed loop", SWEEP.replace(
        'rate=rate, seconds=100 / rate, arrivals="poisson"', "clients=rate, seconds=0.3")),
    "constant arrivals": ("Your requests come evenly", SWEEP.replace(', arrivals="poisson"', "").replace("100 /", "20 /")),
    "few samples": ("too few samples", SWEEP.replace("100 /", "30 /")),
    "always one machine": ("Another machine", SWEEP.replace("load(server", "load(shop").replace("100 /", "20 /")),
    "always the same rates": ("Use the parameter: over=rates", SWEEP.replace("over=rates", "over=[25, 35, 40]").replace("100 /", "20 /")),
    "always one rate": ("Hand the rate on", SWEEP.replace("rate=rate, seconds=100 / rate", "rate=80, seconds=0.5")),
    "the means only": ("Return what sweep returns", SWEEP.replace("100 /", "20 /").replace("=rates)", "=rates).mean_ms")),
}

LATENCY_MISTAKES = {
    "M/M/1": ("Is that M/M/1?", "return theory.mm1(rate, service_s)"),
    "milliseconds": ("Is that in milliseconds?", "return 1e3 * theory.md1(rate, service_s)"),
    "the waiting alone": ("Latency is waiting and service", "return theory.md1(rate, service_s) - service_s"),
    "no waiting": ("Where is the waiting?", "return service_s"),
    "always 20 ms": ("at 8 requests/s and a service time of 0.1 s", "return theory.md1(rate, 0.020)"),
    "an answer without a steady state": ("a machine that can do 50 has no mean latency", """
busy = rate * service_s
return service_s + service_s * busy / 2 / (1 - busy)
"""),
}

REPLICAS = """
if goal_s <= service_s:
    raise ValueError("too short")
arrivals = arrival_times(rate, 10_000 / rate, "poisson")
replicas = math.ceil(rate * service_s)
while np.quantile(latencies(arrivals, service_s, replicas), 0.95) >= goal_s:
    replicas += 1
return replicas
"""
REPLICAS_MISTAKES = {
    "no headroom": ("has no headroom", "return math.ceil(rate * service_s)"),
    "the mean": ("Did you compare the mean with the goal?", REPLICAS.replace(
        "np.quantile(latencies(arrivals, service_s, replicas), 0.95)", "latencies(arrivals, service_s, replicas).mean()")),
    "a float": ("Replicas are counted", REPLICAS.replace("return replicas", "return replicas - 0.3")),
    "too few for the work": ("too small for the work alone", "return 1"),
    "for ever": ("looks for a number for ever", REPLICAS.replace('if goal_s <= service_s:\n    raise ValueError("too short")\n', "")),
    "no ValueError": ("raise ValueError", REPLICAS.replace('raise ValueError("too short")', "return 64")),
    "a queue for each replica": ("give each replica a queue of its own?", REPLICAS.replace(
        "latencies(arrivals, service_s, replicas)", "latencies(replicas * arrivals, service_s, 1)")),
    "one too many": ("Is yours the smallest number?", REPLICAS.replace("return replicas", "return replicas + 1")),
    "always 20 ms": ("the same film in slow motion", REPLICAS.replace(
        "arrivals =", "service_s = 0.020\narrivals =")),
    "fewer for a higher rate": ("For higher rates you take fewer", "if rate == 40:\n    return 6\n" + REPLICAS.lstrip()),
}

REHEARSE = """
with serve("01-monolith", replicas=replicas, service_ms=20) as shop:
    return load(shop, rate=rate, seconds=5, arrivals="poisson", keep_alive=False)
"""
SHORTER = REHEARSE.replace("seconds=5", "seconds=3")
REHEARSE_MISTAKES = {
    "a closed loop": ("You measured in a closed loop", SHORTER.replace('rate=rate, seconds=3, arrivals="poisson"', "clients=8, seconds=1")),
    "too short": ("Run for 5 seconds", REHEARSE.replace("seconds=5", "seconds=1")),
    "always four": ("Did both runs have the same number", SHORTER.replace("replicas=replicas", "replicas=4")),
    "another seed": ("different arrivals", SHORTER.replace("seconds=3", "seconds=3, seed=replicas")),
    "no emulated machine": ("no machine of 20 ms", SHORTER.replace(", service_ms=20", "")),
    "kept connections": ("Customers shared connections", SHORTER.replace(", keep_alive=False", "")),
    "only the p95": ("Return what load returned", SHORTER.replace("=False)", "=False).p95_ms")),
}

MISTAKES = {"service-time": SERVICE_TIME_MISTAKES, "measure": MEASURE_MISTAKES, "latency": LATENCY_MISTAKES,
            "replicas-for": REPLICAS_MISTAKES, "rehearse": REHEARSE_MISTAKES}
EACH_MISTAKE = [pytest.param(task, *mistake, id=f"{task}: {name}")
                for task, mistakes in MISTAKES.items() for name, mistake in mistakes.items()]


@pytest.fixture(scope="module")
def lab(open_lab):
    """The lab in a kernel, ready for answers."""
    return open_lab("04-find-the-knee", before=[*SETUP, *CHECKS])


@pytest.fixture
def grade(lab):
    """A function: grade(task, answer) is what the first failing check says, the other tasks being solved; None if all pass."""
    def graded(task, answer=None):
        for other in {*CHECKS} - {task}:
            assert lab.run(lab.cells[other]) is None
        if task in ("service-time", "measure"):   # an overload may have left a queue
            assert lab.run(lab.cells["machine"]) is None
        said = lab.run(lab.cells[task], answered(lab.cells[task].source, answer) if answer else None)
        for check in CHECKS[task]:
            said = lab.run(lab.cells[check]) if said is None else said   # "" is an error, too
        return said
    return graded


def answered(source, answer):
    """The cell with the answer where its solution was."""
    body = "".join(f"    {line}\n" for line in answer.strip("\n").splitlines())
    return re.sub(r" +### BEGIN SOLUTION\n.*### END SOLUTION", lambda _: body, source, flags=re.DOTALL)


# That the solution passes is what nbval shows, which runs the lab as it is.

@pytest.mark.parametrize("task", CHECKS)
def test_the_starter_fails(grade, task):
    assert grade(task, "raise NotImplementedError()") is not None


@pytest.mark.parametrize("task, message, answer", EACH_MISTAKE)
def test_a_mistake_is_named(grade, task, message, answer):
    assert message in grade(task, answer)
