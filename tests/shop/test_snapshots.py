"""Reads that share a lock, and see every write that is over."""
import asyncio
import sqlite3

import pytest
from shop.database import open_database

INSERT = "INSERT INTO account (email, password_hash, seller) VALUES ('pat@example.com', '', FALSE) RETURNING id"
COUNT = "SELECT count(*) AS accounts FROM account"


@pytest.fixture
def path(tmp_path):
    return (tmp_path / "shop.db").as_posix()


async def counted(db):
    return (await db.one(COUNT))["accounts"]


def run(path, steps):
    async def opened():
        db = await open_database(f"sqlite:///{path}")
        try:
            return await steps(db)
        finally:
            await db.close()
    return asyncio.run(opened())


def test_all_reads_of_one_turn_look_at_one_snapshot_and_the_next_turn_at_a_newer_one(path):
    async def steps(db):
        before = await counted(db)
        with sqlite3.connect(path, isolation_level=None) as another_process:
            another_process.execute(INSERT)
        in_the_same_turn = await counted(db)
        await asyncio.sleep(0)
        return before, in_the_same_turn, await counted(db)

    assert run(path, steps) == (0, 0, 1)


def test_whoever_has_waited_for_a_write_reads_it(path):
    async def steps(db):
        await counted(db)   # begins a snapshot in this very turn
        async with db.transaction() as tx:
            await tx.one(INSERT)
        return await counted(db)

    assert run(path, steps) == 1


def test_a_statement_that_fails_leaves_the_next_read_unharmed(path):
    async def steps(db):
        with pytest.raises(sqlite3.OperationalError):
            await db.one("SELECT nothing FROM nowhere")
        return await counted(db)

    assert run(path, steps) == 0
