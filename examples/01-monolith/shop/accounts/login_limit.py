"""How often somebody may try to log in."""
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from shop.errors import TooManyAttempts

WINDOW_S = 60
MOST_KEYS = 10_000   # the oldest are forgotten beyond that, so that a flood of names fills no memory


class LoginLimit:
    """Counts attempts of the last minute by account and by address; in this process only, and forgotten with it."""

    def __init__(self, per_account: int, per_address: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_account, self.per_address, self.clock = per_account, per_address, clock
        self.attempts: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, email: str, address: str) -> None:
        """Nothing is returned; the attempt counts, and is TooManyAttempts above the limit of either."""
        self.count(("address", address), self.per_address)
        self.count(("account", email), self.per_account)

    def count(self, key: tuple[str, str], most: int) -> None:
        """Nothing is returned; the attempt is noted, unless the last minute is full."""
        now = self.clock()
        times = self.attempts.setdefault(key, deque())
        self.attempts.move_to_end(key)
        while times and now - times[0] >= WINDOW_S:
            times.popleft()
        if len(times) >= most:
            wait_s = math.ceil(WINDOW_S - (now - times[0]))
            raise TooManyAttempts(f"Too many logins; try again in {wait_s} s.", retry_after_s=wait_s)
        times.append(now)
        while len(self.attempts) > MOST_KEYS:
            self.attempts.popitem(last=False)
