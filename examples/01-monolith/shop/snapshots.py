"""A SQLite connection whose reads share their locks."""
import asyncio
import sqlite3
from collections.abc import Mapping


class Reader(sqlite3.Connection):
    """A connection that reads, and locks the file once for each turn of the event loop.

    A SELECT by itself locks and unlocks the file, which takes as long as the search for the row. So the first read
    of a turn begins a transaction, all others of the turn look at the same snapshot, and the next turn ends it. Nobody
    misses a write: whoever waits for one is resumed in a later turn, after the old snapshot has gone.
    """

    def read(self, sql: str, values: Mapping[str, object]) -> sqlite3.Cursor:
        """The rows, as they are in this turn of the event loop."""
        if not self.in_transaction:
            self.execute("BEGIN")
            asyncio.get_running_loop().call_soon(self.execute, "COMMIT")
        return self.execute(sql, values)
