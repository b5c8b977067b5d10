"""Several replicas of one example behind a balancer: `serve("01-monolith", replicas=4)`.

They share one database, and whoever sends a request sees one server.
"""
import json
import shutil
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import requests

from webscale.background import ServeError, Server, tell
from webscale.balancer import POLICIES
from webscale.claims import counted
from webscale.proxies import PROXIES

MOST = 64
AT_ONCE = 4   # replicas that start side by side


class Replicas:
    """A balancer and its replicas: `.url`, `.add()`, `.remove()`, `.stop()`, `.kill()`; stopped at the end of a `with`."""

    def __init__(self, name: str, what: dict, variables: Callable[[dict], dict], count: int, balance: str) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            raise ServeError(f"replicas must be a whole number from 1 to {MOST}, not {count!r}.")
        self.name, self.what, self.variables, self.balance = name, what, variables, balance
        self.replicas: list[Server] = []
        self.started = 0
        self.balancer = balancer(balance)
        # The database lies in the balancer's folder, and goes with it.
        self.shared = {"database": f"sqlite:///{(self.balancer.scratch / 'shop.db').as_posix()}",
                       # All requests come from the balancer's address: a limit by address would hit everybody at once.
                       "logins_per_address": 1_000_000}
        self.finalizer = weakref.finalize(self, stop_all, [self.balancer], self.replicas)
        try:
            self.add()   # alone: it makes the tables and fills them
            self.add(count - 1)
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        """Where the balancer is, as in http://127.0.0.1:40123."""
        return self.balancer.url

    @property
    def port(self) -> int:
        """The balancer's port."""
        return self.balancer.port

    @property
    def alive(self) -> bool:
        """Whether the balancer and all replicas run."""
        return self.balancer.alive and all(replica.alive for replica in self.replicas)

    def session(self) -> requests.Session:
        """A client that keeps its cookies and its connection, and asks no proxy."""
        return self.balancer.session()

    def add(self, count: int = 1) -> Self:
        """The replicas, of which there are so many more."""
        if len(self.replicas) + count > MOST:
            raise ServeError(f"There may be {MOST} replicas at most.")
        numbers = range(self.started + 1, self.started + 1 + count)
        self.started += count
        with ThreadPoolExecutor(AT_ONCE) as starters:
            for replica in starters.map(self.replica, numbers):
                self.replicas.append(replica)
                tell(self.balancer.process, json.dumps({"add": replica.port}).encode())
        return self

    def replica(self, number: int) -> Server:
        """A new replica, which the balancer does not know yet."""
        what = {**self.what, "machine": {**self.what["machine"], "number": number}}
        return Server(f"{self.name} {number}", what, self.variables(self.shared))

    def remove(self, count: int = 1) -> Self:
        """The replicas, of which there are so many less; what the removed ones had under way was finished."""
        if count >= len(self.replicas):
            raise ServeError(f"One replica at least must stay; there are {len(self.replicas)}.")
        for _ in range(count):
            replica = self.replicas.pop()
            tell(self.balancer.process, json.dumps({"remove": replica.port}).encode())
            replica.stop()
        return self

    def scale(self, count: int) -> Self:
        """The replicas, of which there are so many now."""
        difference = count - len(self.replicas)
        return self.add(difference) if difference > 0 else self.remove(-difference) if difference else self

    def stop(self) -> None:
        """Nothing is returned; requests under way got two seconds to finish, and all processes are gone."""
        with ThreadPoolExecutor(AT_ONCE) as stoppers:
            list(stoppers.map(Server.stop, self.replicas))
        self.finalizer()

    def kill(self) -> None:
        """Nothing is returned; all processes are gone at once."""
        for server in (self.balancer, *self.replicas):
            server.kill()
        self.finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self.balancer.alive:
            return f"<{self.name}, {len(self.replicas)} replicas, stopped>"
        running = sum(replica.alive for replica in self.replicas)
        return f"<{self.name} at {self.url}, {counted(running, 'replica')} behind {self.balance}>"


def stop_all(balancers: list[Server], replicas: list[Server]) -> None:
    """Nothing is returned; all are gone."""
    for server in (*replicas, *balancers):
        server.finalizer()


def balancer(balance: str) -> Server:
    """The running balancer: one of our own policies, or a program that is installed."""
    if balance in POLICIES:
        return Server("balancer", {"policy": balance, "ports": []}, {}, "webscale.balancer")
    if balance not in PROXIES:
        raise ServeError(f"There is no balancer {balance!r}; there are: {', '.join([*POLICIES, *PROXIES])}.")
    if not (program := shutil.which(PROXIES[balance].program)):
        raise ServeError(f"{balance} is not installed here. Install it, or take one of {', '.join(POLICIES)}, "
                         "which need nothing.")
    return Server(balance, {"proxy": balance, "program": program}, {}, "webscale.proxies")
