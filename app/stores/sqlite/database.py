"""An open SQLite file: one thread that writes, one that reads, each with its own connection (WAL)."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from app.stores.sqlite.faults import translate
from app.stores.sqlite.lock import locked
from app.stores.sqlite.migrations import migrate
from app.stores.sqlite.queries import Queries, load_statements
from app.stores.sqlite.worker import Worker

T = TypeVar("T")

CACHED_STATEMENTS = 256


class Database:
    """Runs work as transactions, in threads of its own."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        self._writer = writer
        self._reader = reader

    async def write(self, work: Callable[[Queries], T]) -> T:
        """Gives the work's result, once all it wrote is on the disk; if it raises, it wrote nothing."""
        return await self._writer.run(work)

    async def read(self, work: Callable[[Queries], T]) -> T:
        """Gives the work's result. It sees one moment, and every write that returned before."""
        return await self._reader.run(work)


@asynccontextmanager
async def open_database(path: Path) -> AsyncGenerator[Database, None]:
    """Opens the file, and brings its schema up to date. Raises ConfigError if another process has it open."""
    async with AsyncExitStack() as stack:
        lock = locked(path)
        await asyncio.to_thread(lock.__enter__)
        stack.push(lock)
        writing, reading = await asyncio.to_thread(_connect, path)
        writer = Worker(writing, "begin_writing", "sqlite-writer")
        stack.push_async_callback(writer.close)
        reader = Worker(reading, "begin_reading", "sqlite-reader")
        stack.push_async_callback(reader.close)
        yield Database(writer, reader)


def _connect(path: Path) -> tuple[Queries, Queries]:
    """Gives a connection that writes and one that reads."""
    statements = load_statements()
    with ExitStack() as stack:
        try:
            writing = _configured(path, statements, stack)
            migrate(writing)
            reading = _configured(path, statements, stack)
            reading.run_script("read_only")
        except sqlite3.Error as error:
            raise translate(error) from error
        stack.pop_all()
        return writing, reading


def _configured(path: Path, statements: Mapping[str, str], stack: ExitStack) -> Queries:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=CACHED_STATEMENTS
    )
    stack.callback(connection.close)
    queries = Queries(connection, statements)
    queries.run_script("configure")
    return queries
