"""The one way in which the shop leaves its event loop."""
import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(threads: Executor, function: Callable[..., Result], *args: object) -> Result:
    """What function(*args) returns, run in one of the threads while the event loop goes on."""
    # The context goes along: whoever looks from within still knows which request this is.
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, context.run, function, *args)
