"""The wire between Baton and its store: a TCP proxy that remembers what passed through it, and when."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count

from msgspec import Struct
from yarl import URL

from tests.bench.backings import Variables

PIECE = 2**18


class Piece(Struct, frozen=True):
    """What came at one moment over one connection: some of a request, or of what the store had to say."""

    at: float
    connection: int
    is_request: bool
    size: int
    data: bytes = b""
    """The request's bytes; an answer's are not kept."""


class Tap:
    """Remembers everything that passes between Baton and its store."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._connections = count()
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def before(self, host: str, port: int) -> AsyncGenerator[int, None]:
        """Gives the port of a proxy before that address."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._serving.add(task)
            with suppress(asyncio.CancelledError, OSError):
                await self._relay(reader, writer, *await asyncio.open_connection(host, port))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        store: asyncio.StreamWriter,
    ) -> None:
        now, number = asyncio.get_running_loop().time, next(self._connections)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, store, lambda data: self._note(now(), number, True, data)))
                both.create_task(_pump(answers, writer, lambda data: self._note(now(), number, False, data)))
        except* OSError:
            pass
        finally:
            store.close()

    def _note(self, at: float, connection: int, is_request: bool, data: bytes) -> None:
        self.pieces.append(Piece(at, connection, is_request, len(data), data if is_request else b""))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    """What comes from one side goes to the other, noted before it does."""
    while data := await source.read(PIECE):
        note(data)
        target.write(data)
        await target.drain()
    target.close()


@asynccontextmanager
async def tapped(variables: Variables) -> AsyncGenerator[tuple[Tap, Variables], None]:
    """Gives a tap, and variables that lead to the same store through it."""
    tap = Tap()
    async with AsyncExitStack() as stack:
        through: dict[str, str] = {}
        for name, address in variables.items():
            url = URL(address)
            port = await stack.enter_async_context(tap.before(url.host or "", url.port or 0))
            through[name] = str(url.with_port(port))
        yield tap, through
