"""A store that stalls under a real server with few connections: all are told in time, nobody gets half a stream."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from aiohttp import ClientSession, TCPConnector
from msgspec import Struct

from tests.faults.places import Place
from tests.support.proxy import proxying
from tests.support.server import Server, running

SCRIPT = Path(__file__).parent / "steps.yaml"
REQUESTS = 50
POOL = 2
WAIT = 0.3
BOUND = 4 * WAIT + 0.75 + 2.0
"""A request waits four times for a connection, with pauses between; and a busy machine."""
SECONDS = 60


class Answer(Struct, frozen=True):
    """What a client got."""

    status: int
    kind: str
    body: bytes

    @property
    def is_whole(self) -> bool:
        """Says whether it is a stream that goes to its run's end."""
        return self.status == 200 and b"event: run.finished\n" in self.body

    @property
    def is_told(self) -> bool:
        """Says whether it is a problem that says what is the matter."""
        is_problem = (self.status, self.kind) == (503, "application/problem+json")
        return is_problem and json.loads(self.body)["code"] == "store_busy"


async def ask(http: ClientSession, server: Server, number: int) -> Answer:
    """Gives the answer to one input; the same number is the same request."""
    headers = {"Idempotency-Key": f"request-{number}"}
    async with http.post(f"{server.url}/v1/chat", json={"input": f"hi {number}"}, headers=headers) as response:
        return Answer(response.status, response.content_type, await response.read())


async def insist(http: ClientSession, server: Server, number: int) -> None:
    """The request was sent until its run's stream was whole."""
    while not (answer := await ask(http, server, number)).is_whole:
        assert answer.is_told, answer
        await asyncio.sleep(0.1)


async def test_trap_half_the_streams_failed_with_200(make: Callable[[], Place], tmp_path: Path) -> None:
    """While the store stalled, streams for which there was no connection began with 200 and ended with nothing."""
    place = make()
    environment = {
        "BATON_STORE_POOL": str(POOL),
        "BATON_STORE_WAIT": str(WAIT),
        "BATON_MODEL": "scripted:steps",
        "BATON_SCRIPT": str(SCRIPT),
    }
    async with (
        asyncio.timeout(SECONDS),
        proxying(place.port, place.speech) as proxy,
        running(tmp_path, BATON_STORE_URL=place.url(proxy.port), **environment) as server,
        ClientSession(connector=TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as group,
    ):
        await asyncio.gather(*(insist(http, server, -number) for number in range(1, 9)))
        assert proxy.open <= 2 * POOL + 1, "the pool, the heartbeat, and what is live"
        proxy.stall()
        asked = [group.create_task(ask(http, server, number)) for number in range(REQUESTS)]
        told, _ = await asyncio.wait(asked, timeout=BOUND)
        proxy.resume()
        assert len(told) >= REQUESTS - POOL
        assert all(task.result().is_told for task in told)
        assert all(answer.is_told or answer.is_whole for answer in await asyncio.gather(*asked))
        await asyncio.gather(*(insist(http, server, number) for number in range(REQUESTS)))
        assert "raise BATON_STORE_POOL" in server.stderr
