"""Postgres as a wire: each replica listens on two channels, its own and everybody's, and notifies over that connection.

A NOTIFY is a transaction that all others of the database wait for while it commits, so it is dear: there are at most
20 a second and replica, and this connection's commits do not wait for the disk.
"""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg
from asyncpg import Record

from app.core.clock import Clock
from app.core.errors import StoreUnavailable
from app.core.ids import Incarnation
from app.core.tasks import Tasks
from app.stores.postgres.database import CONNECT_SECONDS, Database, statements
from app.stores.postgres.faults import FOREIGN, translate
from app.stores.relay.wire import Post, Terms

log = logging.getLogger(__name__)

NOTIFY_BYTES = 7900
"""What a NOTIFY may carry, as text."""
TERMS = Terms(limit=NOTIFY_BYTES // 4 * 3, pace=0.05, parts=4, shared=True)
SEND_SECONDS = 2.0
ECHO_SECONDS = 5.0
"""How often a wire over which nothing goes is tried."""
RETRY_SECONDS = (0.0, 0.05, 0.2, 0.5, 1.0)
"""How long to wait before each attempt to connect anew; then always the last."""
SETTINGS = {"application_name": "baton bus", "synchronous_commit": "off"}
EVERYBODY = "baton:all"

Line: TypeAlias = "asyncpg.Connection[Record]"


class PostgresWire:
    """Carries payloads by NOTIFY. `url` leads past every transaction pooler."""

    def __init__(self, url: str, incarnation: Incarnation, clock: Clock) -> None:
        self._url = url
        self._me = incarnation
        self._clock = clock
        self._line: Line | None = None
        self._free = asyncio.Lock()

    @property
    def terms(self) -> Terms:
        return TERMS

    async def send(self, posts: Sequence[Post]) -> None:
        for post in posts:
            await self._notify(_channel(post.to), b64encode(post.payload).decode())

    @asynccontextmanager
    async def open(
        self, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> AsyncGenerator[None, None]:
        lost = await self._connect(deliver)
        try:
            async with Tasks() as tasks:
                tasks.start(self._mend_forever(lost, deliver, on_reconnect))
                tasks.start(self._try_forever())
                yield
        finally:
            self._cut()

    async def _connect(self, deliver: Callable[[bytes], None]) -> asyncio.Event:
        """The wire is whole; gives what is set when it breaks."""
        lost = asyncio.Event()

        def heard(line: Any, process: int, channel: str, payload: object) -> None:
            if process != line.get_server_pid() and payload:
                with suppress(ValueError):  # somebody else's notification
                    deliver(b64decode(str(payload), validate=True))

        try:
            self._line = line = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS, server_settings=SETTINGS)
            line.add_termination_listener(lambda _: lost.set())
            await line.add_listener(EVERYBODY, heard)
            await line.add_listener(_channel(self._me), heard)
        except FOREIGN as error:
            self._cut()
            raise translate(error) from error
        return lost

    async def _notify(self, channel: str, payload: str) -> None:
        async with self._free:
            line = self._line
            if line is None or line.is_closed():
                raise StoreUnavailable("the connection for notifications is lost")
            try:
                await line.execute(statements()["notify"], channel, payload, timeout=SEND_SECONDS)
            except FOREIGN as error:
                self._cut()
                raise translate(error) from error

    async def _mend_forever(
        self, lost: asyncio.Event, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> None:
        while True:
            await lost.wait()
            log.warning("lost the connection to Postgres for notifications")
            lost = await self._connect_again(deliver)
            on_reconnect()

    async def _connect_again(self, deliver: Callable[[bytes], None]) -> asyncio.Event:
        attempt = 0
        while True:
            await self._clock.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            try:
                return await self._connect(deliver)
            except (StoreUnavailable, *FOREIGN) as error:
                log.debug("not yet: %s", error)
                attempt += 1

    async def _try_forever(self) -> None:
        """A connection that does not answer is found out."""
        while True:
            await self._clock.sleep(ECHO_SECONDS)
            try:
                await self._notify(_channel(self._me), "")
            except StoreUnavailable as error:
                log.debug("%s", error)

    def _cut(self) -> None:
        if self._line is not None:
            self._line.terminate()
            self._line = None


class PostgresParcels:
    """Keeps parcels in a table that no crash keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def leave(self, name: str, parcel: bytes) -> None:
        await self._database.call("leave_parcel", name, parcel)

    async def collect(self, name: str) -> bytes | None:
        row = await self._database.row("collect_parcel", name)
        return row["parcel"] if row is not None else None


def _channel(to: Incarnation | None) -> str:
    return EVERYBODY if to is None else f"baton:to:{to}"
