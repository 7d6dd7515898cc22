"""A fleet: real replicas on one real store, behind a real balancer; and a client that reads streams beside a test."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import ClientError

from tests.support.contract import Contract
from tests.support.http import Answer, Client
from tests.support.server import Server
from tests.support.services import haproxy
from tests.support.sse import Event
from tests.support.viewer import Viewer

CONTRACT = Contract.load()
SCRIPT = Path(__file__).parent / "script.yaml"
SECONDS = 20.0
"""What anything may take."""
STORY = "tell me a story"
"""An input whose answer takes three seconds."""


class Fleet:
    """Replicas, a client of each, and one of the balancer before them."""

    def __init__(self, replicas: Sequence[Server], clients: Sequence[Client], balancer: Client) -> None:
        self.replicas = replicas
        self.clients = clients
        self.balancer = balancer


@asynccontextmanager
async def fleet(home: Path, store: str, **variables: str) -> AsyncGenerator[Fleet, None]:
    """Gives two replicas on the store at that address, ready. They are dead afterwards."""
    environment = {
        "BATON_STORE_URL": store,
        "BATON_DATA_DIR": str(home / "data"),
        "BATON_MODEL": "scripted:x",
        "BATON_SCRIPT": str(SCRIPT),
        **variables,
    }
    replicas = [Server(home / f"replica{number}", environment) for number in range(2)]
    async with AsyncExitStack() as stack:
        for replica in replicas:
            stack.callback(_end, replica)
        await asyncio.gather(*(replica.start() for replica in replicas))
        base = stack.enter_context(haproxy.balancing(home, [f"127.0.0.1:{replica.port}" for replica in replicas]))
        urls = [*(replica.url for replica in replicas), base]
        *clients, balancer = [await stack.enter_async_context(Client.of(url, contract=CONTRACT)) for url in urls]
        yield Fleet(replicas, clients, balancer)


def _end(server: Server) -> None:
    if server.is_running():
        server.kill()


class Reading:
    """One stream, read beside the test by a viewer that checks every rule."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.head: Answer | None = None
        self.moments: list[float] = []
        """When each event came."""
        self.is_over = False
        self._changed = asyncio.Condition()

    async def until(self, holds: Callable[["Reading"], bool], seconds: float = SECONDS) -> None:
        """Returns once it holds."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: holds(self))

    async def over(self, seconds: float = SECONDS) -> None:
        """Returns once the stream has ended, in whatever way."""
        await self.until(lambda reading: reading.is_over, seconds)

    @property
    def run(self) -> str:
        """Names the run that it follows."""
        assert self.head is not None
        return self.head.headers["X-Run-Id"]

    @property
    def types(self) -> list[str]:
        """Gives the types of the records that were seen."""
        return [record["type"] for record in self.viewer.records]

    async def take(self, head: Answer, events: AsyncIterator[Event]) -> None:
        """The stream was read to its end, or for as long as its server lived."""
        self.head = head
        try:
            with suppress(ClientError, ConnectionError):
                async for event in events:
                    self.viewer.apply(event)
                    self.moments.append(asyncio.get_running_loop().time())
                    await self._tell()
        finally:
            self.is_over = True
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Reader:
    """Opens streams. One that breaks a rule fails the test that holds the group."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    def post(self, client: Client, text: str, headers: Mapping[str, str] | None = None, **body: Any) -> Reading:
        """Gives the stream of an input."""
        reading = Reading(Viewer())
        self._open(reading, client, "POST", "/v1/chat", json={"input": text, **body}, headers=headers)
        return reading

    def follow(self, client: Client, path: str, viewer: Viewer | None = None) -> Reading:
        """Gives the stream at that path; a viewer that has seen something of it goes on where it was."""
        reading = Reading(viewer or Viewer())
        last = reading.viewer.last_id
        if last is not None:
            reading.viewer.reconnect()
        self._open(reading, client, "GET", path, headers={} if last is None else {"Last-Event-ID": last})
        return reading

    def _open(self, reading: Reading, client: Client, method: str, path: str, **request: Any) -> None:
        async def read() -> None:
            async with client.stream(method, path, **request) as (head, events):
                await reading.take(head, events)

        self._group.create_task(read())


def shown(count: int) -> Callable[[Reading], bool]:
    """Says of a stream whether it has brought so many events."""
    return lambda reading: len(reading.moments) >= count


def events_of(run: str) -> str:
    """Gives the path of a run's stream."""
    return f"/v1/runs/{run}/events"
