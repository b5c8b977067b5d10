"""Passwords are kept as argon2id hashes, made slow on purpose: 39 ms and 19 MB a guess."""
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from shop.threads import in_thread

THREADS = 2   # hashing at most two at a time: a hundred logins at once wait their turn and leave cores for the rest


class Passwords:
    """Hashes passwords and checks them, outside the event loop."""

    def __init__(self) -> None:
        # OWASP's choice for argon2id: 19 MiB of memory, 2 passes, 1 lane.
        self.hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
        self.threads = ThreadPoolExecutor(THREADS, "password")
        self.nobodys = ""   # a hash that no password fits, made at its first use

    async def hash(self, password: str) -> str:
        """The hash to be stored."""
        return await in_thread(self.threads, self.hasher.hash, password)

    async def fits(self, password: str, stored: str | None) -> bool:
        """Whether the password is the stored hash's. Without one it is False after the same work, so time tells nothing."""
        self.nobodys = self.nobodys or await self.hash("nobody's")
        try:
            await in_thread(self.threads, self.hasher.verify, stored or self.nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def close(self) -> None:
        """Nothing is returned; the threads are gone."""
        self.threads.shutdown()
