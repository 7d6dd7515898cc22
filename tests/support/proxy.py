"""A proxy on the loopback between a program and its store, which cuts connections around any exchange, stalls, counts.

    async with proxying(server.port, RedisSpeech) as proxy:
        async with open_redis(f"redis://127.0.0.1:{proxy.port}/0", clock) as stores:
            proxy.strike(2, Cut.AFTER)      # the second exchange from now
            ...

An **exchange** is what a client sends on one connection until all that it asked is answered. Exchanges of all
connections are counted together, in the order in which they begin.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Protocol

from app.core.tasks import Tasks

CHUNK = 1 << 16


class Cut(StrEnum):
    """When the connection of the chosen exchange is lost."""

    BEFORE = "before"
    """Nothing of the request reaches the server."""
    AFTER = "after"
    """The server has answered in full; nothing of that reaches the client."""
    LATE = "late"
    """The request still arrives, but only when the next exchange has been answered: the repeat overtakes it."""


class Speech(Protocol):
    """What was said on one connection, as far as it takes to know where an exchange ends."""

    def ask(self, data: bytes) -> None:
        """The client said that."""
        ...

    def answer(self, data: bytes) -> None:
        """The server said that."""
        ...

    @property
    def is_asked(self) -> bool:
        """Says whether the client is not in the middle of a request."""
        ...

    @property
    def is_answered(self) -> bool:
        """Says whether everything that was asked in full is answered in full."""
        ...


class Proxy:
    """What goes through, and what becomes of it."""

    def __init__(self, target: int, speech: Callable[[], Speech]) -> None:
        self.port = 0
        self.exchanges = 0
        """Begun since the last `strike`."""
        self.open = 0
        """Connections that are open now."""
        self.struck = asyncio.Event()
        """Set when the connection of the chosen exchange was cut."""
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the next exchange is over."""
        self.flowing = asyncio.Event()
        self.late = 0
        """Requests that have still to arrive."""
        self._target = target
        self._speech = speech
        self._at = 0
        self._cut = Cut.BEFORE
        self._links: set[_Link] = set()

    def strike(self, at: int, cut: Cut) -> None:
        """The `at`-th exchange from now (from 1; 0: none) meets with the cut."""
        self._at, self._cut, self.exchanges = at, cut, 0
        self.struck.clear()

    def stall(self) -> None:
        """Connections are kept and accepted, but nothing goes through them."""
        self.flowing.clear()

    def resume(self) -> None:
        """Everything goes on where it stood."""
        self.flowing.set()

    def sever(self) -> None:
        """Every connection is lost now."""
        for link in tuple(self._links):
            link.sever()

    async def settled(self) -> None:
        """Returns when the late request, if there is one, has arrived and was answered."""
        while self.late:
            await asyncio.sleep(0.001)

    def begin(self) -> Cut | None:
        """Counts an exchange that begins; gives the cut that it meets with."""
        self.exchanges += 1
        return self._cut if self.exchanges == self._at else None

    def end(self) -> None:
        """An exchange is over."""
        over, self.answered = self.answered, asyncio.get_running_loop().create_future()
        over.set_result(None)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection until either side, or a cut, ends it."""
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), (upstream, downstream), self._speech())
        self._links.add(link)
        self.open += 1
        try:
            await link.carry()
        finally:
            self.open -= 1
            self._links.discard(link)
            link.sever()


End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: End, server: End, speech: Speech) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._speech = speech
        self._cut: Cut | None = None
        self._is_busy = False
        self._held = b""
        """Of a request that will be late."""

    async def carry(self) -> None:
        """Returns when the connection has ended, and what is late of it has arrived."""
        async with asyncio.TaskGroup() as pumps:
            both = [pumps.create_task(self._forth()), pumps.create_task(self._back())]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for pump in both:
                pump.cancel()
        if self._held and self._speech.is_asked:
            await self._arrive_late()

    def sever(self) -> None:
        """Both halves are gone."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _forth(self) -> None:
        while data := await self._read(self._client):
            if not self._is_busy:
                self._is_busy, self._cut = True, self._proxy.begin()
            self._speech.ask(data)
            if self._cut is Cut.BEFORE:
                self._strike()
                return
            if self._cut is Cut.LATE:
                self._held += data
                if self._speech.is_asked:
                    return
            else:
                self._server[1].write(data)

    async def _back(self) -> None:
        while data := await self._read(self._server):
            self._speech.answer(data)
            is_over = self._is_busy and self._speech.is_asked and self._speech.is_answered
            if self._cut is not Cut.AFTER:
                self._client[1].write(data)
            elif is_over:
                self._strike()
                return
            if is_over:
                self._is_busy = False
                self._proxy.end()

    def _strike(self) -> None:
        self.sever()
        self._proxy.struck.set()

    async def _arrive_late(self) -> None:
        overtaken = self._proxy.answered
        self._proxy.late += 1
        self._client[1].transport.abort()
        self._proxy.struck.set()
        try:
            await overtaken
            self._server[1].write(self._held)
            while not self._speech.is_answered and (data := await self._read(self._server)):
                self._speech.answer(data)
        finally:
            self._proxy.late -= 1

    async def _read(self, end: End) -> bytes:
        """Gives what came, or nothing at the end."""
        data = b""
        with suppress(ConnectionError):
            data = await end[0].read(CHUNK)
        await self._proxy.flowing.wait()
        return data


@asynccontextmanager
async def proxying(target: int, speech: Callable[[], Speech]) -> AsyncGenerator[Proxy, None]:
    """Gives a proxy to that port of the loopback; no connection through it is left afterwards."""
    proxy = Proxy(target, speech)
    proxy.resume()
    async with Tasks() as tasks:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.start(proxy.carry(reader, writer))

        listener = await asyncio.start_server(accept, "127.0.0.1", 0)
        proxy.port = listener.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            listener.close()
