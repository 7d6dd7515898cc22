"""Places on durable servers of the test's own, which it may kill, start again, and rob of their last writes."""

import asyncio
import subprocess
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

from tests.faults.places import Place, PostgresPlace, RedisPlace
from tests.support.services.postgres import PostgresServer
from tests.support.services.redis import DURABLE, RedisServer

T = TypeVar("T")

_HANDS = ThreadPoolExecutor(1, "servers")
"""Servers die with the thread that started them; this one stays, and the event loop need not wait for it."""


async def by_hand(work: Callable[[], T]) -> T:
    """Gives what the work gives, which may block, and may start a server."""
    return await asyncio.get_running_loop().run_in_executor(_HANDS, work)


class Fragile(Place, Protocol):
    """A place whose server is the test's own."""

    async def kill(self) -> None:
        """The server is gone as by a crash."""
        await by_hand(self._kill)

    async def start(self) -> None:
        """The server answers again, with all that was durable."""
        await by_hand(self._start)

    async def mark(self) -> None:
        """This moment is what `rewind` goes back to. The server may be away for it."""
        await by_hand(self._mark)

    async def rewind(self) -> None:
        """The server was killed, and what it wrote since the mark is lost; it answers again."""
        await by_hand(self._rewind)

    @abstractmethod
    def _kill(self) -> None: ...

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _mark(self) -> None: ...

    @abstractmethod
    def _rewind(self) -> None: ...


class FragileRedis(RedisPlace, Fragile):
    """Everything is in one append-only file; a rewind cuts off its end."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server)
        self._size = 0

    def _kill(self) -> None:
        self.server.kill()

    def _start(self) -> None:
        self.server.start()

    def _mark(self) -> None:
        self._size = self._file().stat().st_size

    def _rewind(self) -> None:
        self.server.kill()
        with self._file().open("r+b") as file:
            file.truncate(self._size)
        self.server.start()

    def _file(self) -> Path:
        (file,) = (self.server.folder / "appendonlydir").glob("*.incr.aof")
        return file


class FragilePostgres(PostgresPlace, Fragile):
    """A rewind puts a copy of the server's files in their place."""

    def _kill(self) -> None:
        self.server.kill()

    def _start(self) -> None:
        self.server.start()

    def _mark(self) -> None:
        self.server.stop()
        self._copy("data", "copy")
        self.server.start()

    def _rewind(self) -> None:
        self.server.kill()
        self._copy("copy", "data")
        self.server.start()

    def _copy(self, source: str, target: str) -> None:
        folder = self.server.folder
        subprocess.run(["rm", "-rf", folder / target], check=True, timeout=60)
        subprocess.run(["cp", "-a", folder / source, folder / target], check=True, timeout=60)


@cache
def _durable_postgres() -> PostgresServer:
    """Gives the server for this process's tests: it takes seconds to make one."""
    return PostgresServer(durable=True)


@asynccontextmanager
async def fragile_redis() -> AsyncGenerator[Fragile, None]:
    """Gives a place on a Redis of the test's own."""
    server = await by_hand(lambda: RedisServer(**DURABLE))
    try:
        yield FragileRedis(server)
    finally:
        await by_hand(server.kill)


@asynccontextmanager
async def fragile_postgres() -> AsyncGenerator[Fragile, None]:
    """Gives a place on a Postgres that no other test uses now."""
    yield FragilePostgres(await by_hand(_durable_postgres))
