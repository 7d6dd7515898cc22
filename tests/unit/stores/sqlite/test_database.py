"""The two threads: transactions shared by what is queued, failures that stay where they belong."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import Conflict, StoreUnavailable
from app.stores.sqlite.database import Database, open_database
from app.stores.sqlite.queries import Queries

SECONDS = 10.0
SETUP = "CREATE TABLE IF NOT EXISTS t (x UNIQUE)"


@pytest.fixture
async def database(path: Path) -> AsyncGenerator[Database, None]:
    async with open_database(path) as opened:
        await opened.write(lambda queries: queries.connection.execute(SETUP).rowcount)
        yield opened


def insert(queries: Queries, value: object) -> object:
    queries.connection.execute("INSERT INTO t VALUES (?)", (value,))
    return value


def refuse(queries: Queries) -> object:
    insert(queries, "half done")
    raise Conflict("no")


def transactions(queries: Queries) -> list[str]:
    """Gives the list into which every further BEGIN and COMMIT is written."""
    seen: list[str] = []
    queries.connection.set_trace_callback(
        lambda text: seen.append(text) if text.startswith(("BEGIN", "COMMIT")) else None
    )
    return seen


async def values(database: Database) -> list[object]:
    return await database.read(lambda queries: [x for (x,) in queries.connection.execute("SELECT x FROM t")])


class Gate:
    """A job that keeps a thread busy until it is opened, so that others queue behind it."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._opened = threading.Event()
        self._loop = asyncio.get_running_loop()

    def wait(self, _: Queries) -> bool:
        self._loop.call_soon_threadsafe(self.entered.set)
        return self._opened.wait(SECONDS)

    def open(self) -> None:
        self._opened.set()


async def test_what_queues_behind_a_transaction_shares_the_next(database: Database) -> None:
    seen = await database.write(transactions)
    gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.write(gate.wait))
        await gate.entered.wait()
        jobs = [tasks.create_task(database.write(lambda queries, n=n: insert(queries, n))) for n in range(50)]
        await asyncio.sleep(0)
        gate.open()
    assert [job.result() for job in jobs] == list(range(50))
    assert [text.split()[0] for text in seen if text.startswith(("BEGIN", "COMMIT"))].count("BEGIN") == 2
    assert await values(database) == list(range(50))


async def test_one_that_fails_undoes_only_itself(database: Database) -> None:
    outcomes = await asyncio.gather(
        database.write(lambda queries: insert(queries, 1)),
        database.write(refuse),
        database.write(lambda queries: insert(queries, 2)),
        return_exceptions=True,
    )
    assert [outcomes[0], type(outcomes[1]), outcomes[2]] == [1, Conflict, 2]
    assert await values(database) == [1, 2]


async def test_a_write_is_seen_by_every_later_read(database: Database) -> None:
    for number in range(20):
        await database.write(lambda queries, n=number: insert(queries, n))
        assert len(await values(database)) == number + 1


async def test_readers_do_not_wait_for_writers(database: Database) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.write(gate.wait))
        await gate.entered.wait()
        async with asyncio.timeout(SECONDS):
            assert await values(database) == []
        gate.open()


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await database.read(lambda queries: insert(queries, 1))
    assert await values(database) == []


async def test_a_cancelled_caller_breaks_nothing(database: Database) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        blocker = tasks.create_task(database.write(gate.wait))
        await gate.entered.wait()
        cancelled = tasks.create_task(database.write(lambda queries: insert(queries, 1)))
        refused = tasks.create_task(database.write(refuse))
        await asyncio.sleep(0)
        for task in (blocker, cancelled, refused):
            task.cancel()
        gate.open()
    await database.write(lambda queries: insert(queries, 2))
    assert await values(database) == [1, 2]


async def test_a_full_disk_is_unavailable_and_leaves_nothing(database: Database) -> None:
    await database.write(lambda queries: insert(queries, "before"))

    def limit(queries: Queries) -> int:
        (pages,) = queries.connection.execute("PRAGMA page_count").fetchone()
        queries.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return pages

    await database.write(limit)
    with pytest.raises(StoreUnavailable, match="full"):
        await database.write(lambda queries: insert(queries, "x" * 100_000))
    assert await values(database) == ["before"]
    await database.write(lambda queries: insert(queries, "after"))
    assert await values(database) == ["before", "after"]


async def test_if_the_commit_fails_everybody_in_it_hears_so(database: Database) -> None:
    def doom(queries: Queries) -> None:
        """Leaves a foreign key broken, which only the commit notices."""
        queries.connection.execute("PRAGMA defer_foreign_keys = ON")
        queries.connection.execute("INSERT INTO entries (session, seq, body) VALUES (77, 1, x'')")

    gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.write(gate.wait))
        await gate.entered.wait()
        jobs = (database.write(lambda queries: insert(queries, 1)), database.write(doom))
        both = asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.sleep(0)
        gate.open()
        assert all(isinstance(outcome, Exception) for outcome in await both)
    assert await values(database) == []
    await database.write(lambda queries: insert(queries, 2))
    assert await values(database) == [2]


async def test_what_was_queued_is_done_before_it_closes(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(lambda queries: queries.connection.execute(SETUP).rowcount)
        jobs = [asyncio.ensure_future(database.write(lambda queries, n=n: insert(queries, n))) for n in range(10)]
        await asyncio.sleep(0)
    assert [await job for job in jobs] == list(range(10))
    with pytest.raises(StoreUnavailable):
        await database.write(lambda queries: insert(queries, 11))
    async with open_database(path) as database:
        assert await values(database) == list(range(10))


async def test_it_is_as_durable_as_it_says(database: Database) -> None:
    def pragmas(queries: Queries) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [queries.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 5000]
