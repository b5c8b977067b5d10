"""What makes a server a machine among others: its number in each response, and a time for each request that costs no CPU.

A laptop has too few cores for sixteen replicas that compute. Sixteen that wait are honest, if the chart says "emulated".
"""
import asyncio
import random
import time
from collections.abc import Callable
from types import ModuleType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LAWS = ("fixed", "exponential")


class OneAtATime:
    """Serves one request at a time, each for its service time; others wait for their turn, first come first served."""

    def __init__(self, app: ASGIApp, service_ms: float, law: str, seed: int) -> None:
        self.app = app
        self.draw_s = service_times(service_ms / 1e3, law, seed)
        self.free_at = 0.0   # when all requests that have come so far are done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            now = time.perf_counter()
            # The end is reckoned, not slept together: a timer that fires late once does not delay all who follow.
            self.free_at = max(now, self.free_at) + self.draw_s()
            await asyncio.sleep(self.free_at - now)
        await self.app(scope, receive, send)


def service_times(mean_s: float, law: str, seed: int) -> Callable[[], float]:
    """A function that draws a service time in seconds."""
    if law == "fixed":
        return lambda: mean_s
    return lambda drawn=random.Random(seed).expovariate: drawn(1 / mean_s)


class Signed:
    """Writes the number of the replica into each response."""

    def __init__(self, app: ASGIApp, number: int) -> None:
        self.app = app
        self.header = (b"x-served-by", str(number).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self.header]
            await send(message)

        await self.app(scope, receive, send_signed)


def hold_writes(database: ModuleType, write_ms: float) -> None:
    """Nothing is returned; from now on each transaction holds its locks for so long before it commits."""
    for kind in (database.SqliteTransaction, database.PostgresTransaction):
        kind.__aexit__ = held(kind.__aexit__, write_ms / 1e3)


def held(leave: Callable, seconds: float) -> Callable:
    """The transaction's end, after so many seconds."""
    async def leave_later(self: object, *error: object) -> None:
        await asyncio.sleep(seconds)
        await leave(self, *error)
    return leave_later
