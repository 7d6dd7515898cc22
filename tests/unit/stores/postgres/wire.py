"""A proxy that counts round trips (how often the client spoke after the server had answered), and can hang."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.support.services.postgres import PostgresDatabase


class Wire:
    """What went through."""

    def __init__(self, target: int) -> None:
        self.trips = 0
        self.port = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._target = target

    def url(self, place: PostgresDatabase) -> str:
        """Gives the database's address that leads through here."""
        return place.url.replace(f":{self._target}/", f":{self.port}/")

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection until either side closes it."""
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        spoken = _Turn()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, downstream, spoken, asks=True))
                both.create_task(self._pump(upstream, writer, spoken, asks=False))
        finally:
            writer.close()
            downstream.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, turn: "_Turn", *, asks: bool
    ) -> None:
        while data := await source.read(65536):
            self.trips += asks and not turn.asked
            turn.asked = asks
            await self.flowing.wait()
            sink.write(data)
        sink.close()


class _Turn:
    """Whether the client spoke last."""

    asked = False


@asynccontextmanager
async def counting(target: int) -> AsyncGenerator[Wire, None]:
    """Gives a wire to that port of the loopback."""
    wire = Wire(target)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
