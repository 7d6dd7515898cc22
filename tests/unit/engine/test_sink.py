"""The sink: what comes while a follower waits reaches its client at once, in order, and once."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from app.engine.stream import Stream
from app.stores.bundle import Stores
from tests.support.puppet import Puppet
from tests.support.replica import replica
from tests.support.viewer import view

WORDS = [f"word {number} " for number in range(12)]


class Client:
    """Takes frames at once while it is quick, and has the others yielded."""

    def __init__(self, *, slow_every: int) -> None:
        self.data: list[bytes] = []
        self.at_once = 0
        self._slow_every = slow_every
        self._offers = 0

    def take(self, data: bytes) -> bool:
        self._offers += 1
        if self._slow_every and self._offers % self._slow_every == 0:
            return False
        self.at_once += 1
        self.data.append(data)
        return True

    async def read(self, stream: Stream) -> None:
        async with aclosing(stream.frames(self.take)) as frames:
            async for data in frames:
                self.data.append(data)


@pytest.mark.parametrize("slow_every", [0, 1, 2, 3])
async def test_whoever_refuses_now_and_then_sees_the_same(stores: Stores, tmp_path: Path, slow_every: int) -> None:
    gates = [asyncio.Event() for _ in WORDS]
    answer = [piece for pair in zip(gates, WORDS, strict=True) for piece in pair]
    client = Client(slow_every=slow_every)
    async with replica(stores, Puppet(answer), tmp_path) as server, asyncio.timeout(10):
        accepted = await server.say("hi")
        reading = asyncio.create_task(client.read(await server.engine.follow_accepted(accepted)))
        for number, gate in enumerate(gates):
            gate.set()
            while f"word {number} ".encode() not in b"".join(client.data):
                await asyncio.sleep(0)
        await reading
        again = await server.follow(accepted)
    seen = view(b"".join(client.data))
    assert [record["seq"] for record in seen.records] == [record["seq"] for record in again.records]
    assert b"".join(client.data).count(b"event: delta") == len(WORDS)
    assert (client.at_once > 0) == (slow_every != 1)


async def test_a_follower_whose_client_takes_everything_is_woken_for_the_end(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    client = Client(slow_every=0)
    async with replica(stores, Puppet(["one ", gate, "two"]), tmp_path) as server, asyncio.timeout(10):
        accepted = await server.say("hi")
        reading = asyncio.create_task(client.read(await server.engine.follow_accepted(accepted)))
        while b"one " not in b"".join(client.data):
            await asyncio.sleep(0)
        gate.set()
        await reading
    assert view(b"".join(client.data)).records[-1]["type"] == "run.finished"


async def test_followers_with_a_sink_end_when_the_replica_leaves(stores: Stores, tmp_path: Path) -> None:
    client = Client(slow_every=0)
    async with replica(stores, Puppet(["one ", asyncio.Event()]), tmp_path) as server, asyncio.timeout(10):
        accepted = await server.say("hi")
        reading = asyncio.create_task(client.read(await server.engine.follow_accepted(accepted)))
        while b"one " not in b"".join(client.data):
            await asyncio.sleep(0)
        await server.engine.drain(0.0)
        await reading
