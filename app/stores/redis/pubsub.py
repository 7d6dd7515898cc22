"""Redis as a wire: each replica listens on two channels, its own and everybody's, over one connection.

What is sent goes through the store's connections. A subscription may be deaf while its connection is whole: the server
was the primary once, or is cut off from the others. So each wire sends itself an empty payload now and then; if that
does not arrive, it connects anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio.connection import Connection as Line
from redis.exceptions import RedisError

from app.core.clock import Clock
from app.core.errors import StoreUnavailable
from app.core.ids import Incarnation
from app.core.tasks import Tasks
from app.stores.redis.connection import Connection
from app.stores.redis.faults import translate
from app.stores.relay.wire import Post, Terms

log = logging.getLogger(__name__)

TERMS = Terms(limit=256 * 1024, pace=0.005, parts=64)
ECHO_SECONDS = 3.0
"""How often the wire hears itself, and how long that may take."""
RETRY_SECONDS = (0.0, 0.05, 0.2, 0.5, 1.0)
"""How long to wait before each attempt to connect anew; then always the last."""


class RedisWire:
    """Carries payloads by PUBLISH. `db` keeps deployments apart: Redis's channels know no databases."""

    def __init__(self, connection: Connection, incarnation: Incarnation, db: int, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._me = incarnation
        self._db = db
        self._heard = False

    @property
    def terms(self) -> Terms:
        return TERMS

    async def send(self, posts: Sequence[Post]) -> None:
        await self._connection.commands([("PUBLISH", self._channel(post.to), post.payload) for post in posts])

    @asynccontextmanager
    async def open(
        self, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> AsyncGenerator[None, None]:
        line = await self._subscribe()
        try:
            async with Tasks() as tasks:
                tasks.start(self._listen_forever(line, deliver, on_reconnect))
                yield
        finally:
            await line.disconnect(nowait=True)  # a task that is cancelled at once never begins, and closes nothing

    def _channel(self, to: Incarnation | None) -> str:
        return f"baton:{self._db}:all" if to is None else f"baton:{self._db}:to:{to}"

    async def _subscribe(self) -> Line:
        """Gives a connection that was asked to subscribe; nothing that is sent after its answer is missed."""
        line = await self._connection.borrow()
        try:
            await line.send_command("SUBSCRIBE", self._channel(None), self._channel(self._me), check_health=False)
            async with asyncio.timeout(ECHO_SECONDS):
                await line.read_response()  # the server has read the whole command
        except BaseException as error:
            await line.disconnect(nowait=True)
            raise _translated(error) from error
        return line

    async def _listen_forever(
        self, line: Line, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> None:
        while True:
            await self._listen(line, deliver)
            line = await self._subscribe_again()
            on_reconnect()

    async def _listen(self, line: Line, deliver: Callable[[bytes], None]) -> None:
        """Returns when the subscription is lost."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(line, deliver))
                tasks.create_task(self._hear_oneself())
        except* (RedisError, OSError) as group:
            log.warning("lost the subscription to Redis: %s", group.exceptions[0])
        finally:
            await line.disconnect(nowait=True)

    async def _read(self, line: Line, deliver: Callable[[bytes], None]) -> None:
        while True:
            kind, *_, payload = cast("list[Any]", await line.read_response())
            self._heard = True
            if kind == b"message" and payload:
                deliver(payload)

    async def _hear_oneself(self) -> None:
        while True:
            self._heard = False
            try:
                await self.send([Post(self._me, b"")])
            except StoreUnavailable:
                self._heard = True  # nobody could have heard it
            await self._clock.sleep(ECHO_SECONDS)
            if not self._heard:
                raise TimeoutError(f"nothing was heard for {ECHO_SECONDS:g} s")

    async def _subscribe_again(self) -> Line:
        attempt = 0
        while True:
            await self._clock.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            try:
                return await self._subscribe()
            except StoreUnavailable:
                attempt += 1


def _translated(error: BaseException) -> BaseException:
    return translate(error) if isinstance(error, Exception) else error
