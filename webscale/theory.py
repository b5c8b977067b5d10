"""What queueing theory expects of a server, to be laid beside what was measured.

Times are in seconds, rates per second. Each argument is a number or an array; what comes back has the shape
to which the arguments broadcast. Latency is waiting and service together, as a user sees it.
"""
import math
import sys
from dataclasses import dataclass

import numpy as np

from webscale.claims import number

MOST_SERVERS = 100_000   # Erlang's recursion takes a step for each, a third of a second for so many
MOST_AHEAD = 2           # times what was measured: fitted up to 8, the USL missed 64 by 46 %
FEWEST_N = 3             # the USL has three parameters
SAME_LOSS = 20           # decimals; below that, two fits differ by rounding only

Numbers = float | np.ndarray


# ------------------------------------------------------------------ how busy

def littles_law(rate: Numbers, latency: Numbers) -> Numbers:
    """The mean number of requests in the system, waiting or in service (Little 1961)."""
    return amounts("The rate", rate) * amounts("The latency", latency)


def utilisation(rate: Numbers, service: Numbers, servers: Numbers = 1) -> Numbers:
    """The share of their time that the servers are at work; 1 or more is what they cannot do (Little 1961)."""
    return amounts("The rate", rate) * amounts("The service time", service) / whole(servers)


def steady(rate: Numbers, service: Numbers, servers: Numbers = 1) -> Numbers:
    """The utilisation; ValueError where it is 1 or more, as no mean latency exists there."""
    busy = utilisation(rate, service, servers)
    if not np.all(busy < 1):
        raise ValueError(
            f"A utilisation of {number(np.max(busy))} has no steady state: work arrives as fast as it can be done, "
            "or faster, and the queue grows without end. Lower the rate, shorten the service (in seconds: "
            "5 ms is 0.005) or add servers.")
    return busy


# ------------------------------------------------------------------ one server

def mm1(rate: Numbers, service: Numbers) -> Numbers:
    """The mean latency in s, with random arrivals and exponential service (Erlang 1917; named by Kendall 1953)."""
    return service / (1 - steady(rate, service))


def mm1_percentile(rate: Numbers, service: Numbers, p: Numbers) -> Numbers:
    """The latency in s that p per cent of M/M/1's requests stay below; it is exponential (Kleinrock 1975)."""
    p = amounts("p", p)
    if not np.all((p >= 1) & (p < 100)):
        raise ValueError(f"p counts in per cent, from 1 to below 100, and here it is {listed(p)}. "
                         "Write 95 for the 95th percentile.")
    return -mm1(rate, service) * np.log1p(-p / 100)


def md1(rate: Numbers, service: Numbers) -> Numbers:
    """The mean latency in s, with random arrivals and the same service for all (Erlang 1909)."""
    return mg1(rate, service, 0)


def mg1(rate: Numbers, service: Numbers, cv2: Numbers) -> Numbers:
    """The mean latency in s, random arrivals; cv2 is service's variance / mean² (Pollaczek 1930, Khinchine 1932)."""
    return kingman(rate, service, 1, cv2)


def kingman(rate: Numbers, service: Numbers, cva2: Numbers, cvs2: Numbers) -> Numbers:
    """About the mean latency in s; cva2 and cvs2 are variance / mean² of gaps and service (Kingman 1961)."""
    busy = steady(rate, service)
    return service + spread(cva2, cvs2) * service * busy / (1 - busy)


def lindley(arrivals: np.ndarray, services: Numbers) -> np.ndarray:
    """The latency in s of each request of one first-come-first-served server (Lindley 1952)."""
    arrivals, services = visits(arrivals, services)
    # Each gap shorter than the service before it adds to the wait, each longer one takes away, but not below 0.
    # So the wait is how high this walk stands above its lowest point so far.
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - np.diff(arrivals))])
    return walk - np.minimum.accumulate(walk) + services


# ------------------------------------------------------------------ several servers, one queue

def erlang_c(rate: Numbers, service: Numbers, servers: Numbers) -> Numbers:
    """The probability, 0 to 1, that a request must wait in M/M/c (Erlang 1917)."""
    busy = steady(rate, service, servers)
    lost = erlang_b(busy * whole(servers), whole(servers))
    return lost / (1 - busy * (1 - lost))


def erlang_b(load: Numbers, servers: Numbers) -> Numbers:
    """The probability, 0 to 1, to find all servers busy where nobody may wait; load in erlang (Erlang 1917)."""
    load, servers = np.broadcast_arrays(load, servers)
    lost = np.ones(load.shape)
    # One server more at each step. The formula in the books has factorials, which overflow beyond 170 servers.
    for so_far in range(1, int(servers.max(initial=0)) + 1):
        lost = np.where(so_far <= servers, load * lost / (so_far + load * lost), lost)
    return lost[()]


def mmc(rate: Numbers, service: Numbers, servers: Numbers) -> Numbers:
    """The mean latency in s, with random arrivals and exponential service (Erlang 1917)."""
    return allen_cunneen(rate, service, servers, 1, 1)


def allen_cunneen(rate: Numbers, service: Numbers, servers: Numbers, cva2: Numbers, cvs2: Numbers) -> Numbers:
    """About the mean latency in s; cva2 and cvs2 are variance / mean² of gaps and service (Allen 1978)."""
    spare = (1 - steady(rate, service, servers)) * whole(servers)
    return service + spread(cva2, cvs2) * erlang_c(rate, service, servers) * service / spare


def spread(cva2: Numbers, cvs2: Numbers) -> Numbers:
    """How many times M/M/1's waiting such arrivals and services wait; 1 if both are exponential (Kingman 1961)."""
    what = "The squared coefficient of variation"
    return (amounts(what, cva2) + amounts(what, cvs2)) / 2


# ------------------------------------------------------------------ what more of it brings

def amdahl(share: Numbers, speedup: Numbers) -> Numbers:
    """How many times faster all is, when this share of its time, 0 to 1, is so many times faster (Amdahl 1967)."""
    share = amounts("The share", share, most=1)
    rest = 1 - share + share / positive("The speed-up", speedup)
    return np.divide(1, rest, out=np.full(np.shape(rest), np.inf), where=rest > 0)[()]


def usl(n: Numbers, rate_of_one: Numbers, contention: Numbers, crosstalk: Numbers) -> Numbers:
    """The throughput per second of n clients or servers (Gunther 1993)."""
    n = amounts("n", n, least=1)
    queueing = amounts("The contention", contention, most=1) * (n - 1)
    talking = amounts("The crosstalk", crosstalk) * n * (n - 1)
    return amounts("The rate of one", rate_of_one) * n / (1 + queueing + talking)


@dataclass(frozen=True, repr=False)
class UslFit:
    """The Universal Scalability Law, fitted to measurements (Gunther 1993)."""

    rate_of_one: float      # per second
    contention: float       # the share of the work, 0 to 1, that only one at a time can do
    crosstalk: float        # what each pair costs, as a share of the work
    measured_up_to: float   # the largest n that was measured

    def at(self, n: Numbers) -> Numbers:
        """The throughput per second of n; ValueError if n is more than twice what was measured."""
        furthest = MOST_AHEAD * self.measured_up_to
        if np.any(np.asarray(n) > furthest):
            raise ValueError(f"n = {number(np.max(n))} is too far from what was measured, which ends at "
                             f"{number(self.measured_up_to)}: the fit describes, it does not predict. "
                             f"Measure there, or ask for {number(furthest)} at most.")
        return usl(n, self.rate_of_one, self.contention, self.crosstalk)

    @property
    def peak(self) -> float:
        """The n where throughput is highest; infinite without crosstalk (Gunther 1993)."""
        return max(1.0, math.sqrt((1 - self.contention) / self.crosstalk)) if self.crosstalk else math.inf

    def __repr__(self) -> str:
        return (f"<one {number(self.rate_of_one)} req/s, contention {number(100 * self.contention)} %, "
                f"crosstalk {number(100 * self.crosstalk)} %, peak at {number(self.peak)}, "
                f"measured up to {number(self.measured_up_to)}>")


def fit_usl(n: np.ndarray, throughput: np.ndarray, *, crosstalk: bool = True) -> UslFit:
    """The USL whose relative distance from the measured throughputs per second is least (Gunther 1993).

    Without crosstalk it is Amdahl's law: for those of whom it is known that they do not talk to each other.
    """
    n, throughput = measurements(n, throughput)
    # n / throughput is a sum of three terms, none negative: what one does alone, what waits for a turn, what is
    # said between two. Times throughput / n the sum is 1, and what is missing is the relative error.
    terms = np.stack([np.ones_like(n), n, n * (n - 1)], axis=1) * (throughput / n)[:, np.newaxis]
    choices = [[0], [1], [0, 1]] + [[0, 2], [1, 2], [0, 1, 2]] * crosstalk   # the fewest first: they win a tie
    _, (alone, queued, talked) = min((weighed(terms, used) for used in choices), key=lambda fit: fit[0])
    one = float(alone + queued)
    return UslFit(1 / one, float(queued) / one, float(talked) / one, float(n.max()))


def weighed(terms: np.ndarray, used: list[int]) -> tuple[float, np.ndarray]:
    """The squared error and the weights if only these terms are used; an infinite error if a weight is negative."""
    weights = np.zeros(terms.shape[1])
    weights[used] = np.linalg.lstsq(terms[:, used], np.ones(len(terms)), rcond=None)[0]
    error = float(np.sum((terms @ weights - 1) ** 2))
    return (math.inf if np.any(weights < 0) else round(error, SAME_LOSS)), weights


# ------------------------------------------------------------------ what can be reckoned with

def amounts(what: str, values: Numbers, least: float = 0, most: float = sys.float_info.max) -> np.ndarray:
    """The values as floats; ValueError if one is not a number between least and most."""
    array = np.asarray(values, dtype=float)
    wrong = array[~((array >= least) & (array <= most))]
    if wrong.size:
        limits = f"at least {number(least)}" if most == sys.float_info.max else f"{number(least)} to {number(most)}"
        raise ValueError(f"{what} must be a finite number, {limits}, and here it is {listed(wrong)}. "
                         "Correct it, or leave it out.")
    return array


def positive(what: str, values: Numbers) -> np.ndarray:
    """The values as floats, above 0 and perhaps infinite; ValueError if one is not."""
    array = np.asarray(values, dtype=float)
    if not np.all(array > 0):
        raise ValueError(f"{what} must be above 0, and here it is {listed(array[~(array > 0)])}. "
                         "Correct it, or leave it out.")
    return array


def whole(servers: Numbers) -> np.ndarray:
    """The numbers of servers; ValueError if one is not a whole number of at least 1."""
    array = amounts("The number of servers", servers, least=1, most=MOST_SERVERS)
    if np.any(array % 1):
        raise ValueError("The number of servers must be whole, and here it is "
                         f"{listed(array[array % 1 > 0])}. Round it.")
    return array


def visits(arrivals: np.ndarray, services: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Arrivals and services in s, as many of each; ValueError if the arrivals are not in order."""
    arrivals, services = np.asarray(arrivals, dtype=float), amounts("A service time", services)
    if arrivals.ndim != 1 or services.shape not in ((), arrivals.shape):
        raise ValueError(f"Each arrival needs one service, and the shapes are {arrivals.shape} and {services.shape}. "
                         "Give two lists of the same length, or one service time for all.")
    fine = np.isfinite(arrivals)
    fine[1:] &= arrivals[1:] >= arrivals[:-1]
    if not fine.all():
        wrong = int(np.argmin(fine))
        raise ValueError("Arrivals must be finite and in order, and here they go "
                         f"{listed(arrivals[max(wrong - 1, 0):wrong + 1])}. Sort them, each with its service.")
    return arrivals, np.broadcast_to(services, arrivals.shape)


def measurements(n: np.ndarray, throughput: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as floats, ready to fit; ValueError if there are too few different n, or a throughput is not above 0."""
    n, throughput = amounts("n", n, least=1), positive("A throughput", amounts("A throughput", throughput))
    if n.ndim != 1 or n.shape != throughput.shape:
        raise ValueError(f"Each n needs one throughput, and the shapes are {n.shape} and {throughput.shape}. "
                         "Give two lists of the same length.")
    if (different := len(np.unique(n))) < FEWEST_N:
        raise ValueError(f"The USL has {FEWEST_N} parameters, which {different} different n cannot tell apart. "
                         f"Measure at {FEWEST_N} or more, such as 1, 4 and 16.")
    return n, throughput


def listed(values: np.ndarray) -> str:
    """The first few of the values, with commas."""
    first = [f"{value:g}" for value in values.flat[:3]]
    return ", ".join(first) + (" …" if values.size > 3 else "")
