"""A thread with a connection. What is queued when a transaction begins shares it, and so its one fsync.

Each job runs in a savepoint: one that raises undoes only itself. Results are given out after the commit, so that
nobody ever sees what a crash could take back; if the commit fails, every job of the transaction has failed.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from app.core.errors import StoreUnavailable
from app.stores.sqlite.faults import translate
from app.stores.sqlite.queries import Queries

T = TypeVar("T")

MAX_JOBS = 128
"""Jobs that share a transaction at most."""


class _Job(Generic[T]):
    """Work, and who waits for its result."""

    def __init__(self, work: Callable[[Queries], T], waiter: asyncio.Future[T]) -> None:
        self._work = work
        self._waiter = waiter
        self._finish: Callable[[], object] = waiter.cancel

    def run(self, queries: Queries) -> None:
        result = self._work(queries)
        self._finish = lambda: self._waiter.set_result(result)

    def fail(self, error: Exception) -> None:
        self._finish = lambda: self._waiter.set_exception(error)

    def settle(self) -> None:
        """The waiter has the outcome, if it still waits."""
        if not self._waiter.done():
            self._finish()


class Worker:
    """Runs jobs in the order in which they come, batch by batch."""

    def __init__(self, queries: Queries, begin: str, name: str) -> None:
        self._queries = queries
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Queries], T]) -> T:
        """Gives what the work returned, once its transaction is committed. Cancelling does not take the work back."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, waiter))
        return await waiter

    async def close(self) -> None:
        """Everything queued is done, and the connection is closed."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._execute(batch)
            self._loop.call_soon_threadsafe(_settle, batch)
        self._queries.connection.close()

    def _next_batch(self) -> list[_Job[Any]]:
        """Waits for a job, and gives it with those behind it; nothing once the worker is closed."""
        job, batch = self._jobs.get(), list[_Job[Any]]()
        with suppress(Empty):
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_JOBS:
                    return batch
                job = self._jobs.get_nowait()
            if batch:
                self._jobs.put(None)
        return batch

    def _execute(self, batch: list[_Job[Any]]) -> None:
        try:
            self._queries.run(self._begin)
            for job in batch:
                self._attempt(job)
            self._queries.run("commit")
        except sqlite3.Error as error:
            self._abandon(batch, error)

    def _attempt(self, job: _Job[Any]) -> None:
        self._queries.run("savepoint")
        try:
            job.run(self._queries)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not self._queries.connection.in_transaction:
                raise  # a full or broken disk: SQLite has undone the whole transaction
            job.fail(translate(error))
            self._queries.run("undo")
        self._queries.run("release")

    def _abandon(self, batch: list[_Job[Any]], error: sqlite3.Error) -> None:
        """The transaction left nothing, and everybody in it hears why."""
        with suppress(sqlite3.Error):
            self._queries.connection.rollback()
        for job in batch:
            job.fail(translate(error))


def _settle(batch: list[_Job[Any]]) -> None:
    for job in batch:
        job.settle()
