"""Who follows a silent session costs its replica's bulk read, and a comment now and then, whatever the store does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import pytest
from msgspec.structs import replace

from app.core.errors import StoreCorrupt
from app.core.ids import RunId
from app.core.keys import SessionKey
from app.engine.broadcast import KEEP_ALIVE_TICKS, TICK_SECONDS, Broadcast
from app.engine.channel import Channel
from app.engine.frames import Cursor
from app.engine.stream import Stream
from app.stores.base import Position
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Live, OpenItems, OpenText
from app.stores.memory.bus import MemoryBus
from app.testing.clock import ManualClock
from tests.contracts.scenes import begin, item, key, rid, title

KEYS = tuple(key(f"s{number}") for number in range(14))


async def spin() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


async def tick(clock: ManualClock, times: int = 1) -> None:
    for _ in range(times):
        clock.advance(TICK_SECONDS)
        await spin()


class Follower:
    """Reads a stream for ever."""

    def __init__(self, stream: Stream) -> None:
        self.data = b""
        self.pieces = 0
        self._stream = stream

    async def read(self) -> None:
        async with aclosing(self._stream.frames()) as frames:
            async for data in frames:
                self.data += data
                self.pieces += 1

    @property
    def comments(self) -> int:
        return self.data.count(b": keep-alive")


@asynccontextmanager
async def following(
    stores: Stores, clock: ManualClock, keys: tuple[SessionKey, ...] = KEYS, each: int = 1
) -> AsyncGenerator[tuple[Broadcast, list[Follower]], None]:
    """Gives followers of sessions in which nothing happens."""
    broadcast = Broadcast(stores.sessions, stores.heads, stores.bus, clock)
    followers = [Follower(Stream(broadcast, where, Cursor(0))) for where in keys for _ in range(each)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(broadcast.broadcasting())
        tasks = [asyncio.get_running_loop().create_task(follower.read()) for follower in followers]
        await spin()
        try:
            yield broadcast, followers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.fixture
async def sessions(stores: Stores) -> Stores:
    for where in KEYS:
        await begin(stores, where)
    return stores


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_trap_idle_followers_are_woken_by_every_look_at_the_store(
    sessions: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing has happened nobody is woken, but for the comment."""
    pulses: list[Channel] = []
    original = Channel.pulse

    def pulse(self: Channel) -> None:
        pulses.append(self)
        original(self)

    monkeypatch.setattr(Channel, "pulse", pulse)
    async with following(sessions, clock) as (_, followers):
        pulses.clear()
        await tick(clock, KEEP_ALIVE_TICKS)
        assert len(pulses) == len(KEYS)
        assert [follower.comments for follower in followers] == [1] * len(KEYS)


async def test_comments_are_spread_over_the_ticks(sessions: Stores, clock: ManualClock) -> None:
    async with following(sessions, clock) as (_, followers):
        for number in range(1, KEEP_ALIVE_TICKS + 1):
            await tick(clock)
            assert sum(follower.comments for follower in followers) == number * len(KEYS) / KEEP_ALIVE_TICKS


async def test_trap_a_store_that_hangs_silences_the_streams(sessions: Stores, clock: ManualClock) -> None:
    """Comments go on while a look at the store takes for ever: no proxy may think that the server is gone."""

    class Hanging:
        async def peek(self, keys: object) -> object:
            return await asyncio.Event().wait()

    hanging = replace(sessions, heads=Hanging())
    async with following(hanging, clock) as (_, followers):
        await tick(clock, 3 * KEEP_ALIVE_TICKS)
        assert [follower.comments for follower in followers] == [3] * len(KEYS)


async def test_trap_one_torn_head_hides_what_others_lost(sessions: Stores, clock: ManualClock) -> None:
    """A lost announcement is made up for, though another followed session's head cannot be read."""
    heads = sessions.heads

    class Torn:
        async def peek(self, keys: list[SessionKey]) -> object:
            if KEYS[0] in keys:
                raise StoreCorrupt("torn")
            return await heads.peek(keys)

    torn = replace(sessions, heads=Torn())
    async with following(torn, clock) as (_, followers), asyncio.timeout(5):
        head = (await sessions.sessions.read(KEYS[1], 0)).head
        await sessions.sessions.append(KEYS[1], Position(head.birth, head.seq), [title("not announced")])
        await tick(clock)
        while b"not announced" not in followers[1].data:
            await asyncio.sleep(0.01)
        assert b"run.started" in followers[0].data


class Elsewhere(MemoryBus):
    """The owner is on another replica, and takes its time to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: OpenItems | None = None
        self.asked = 0

    async def ask(self, key: SessionKey, timeout: float) -> OpenItems | None:
        self.asked += 1
        opened = self.opened
        await asyncio.sleep(0.01)
        return opened


async def test_trap_a_thousand_followers_ask_the_owner_a_thousand_times(stores: Stores, clock: ManualClock) -> None:
    """Who comes at once shares the answer, and is shown the whole text all the same, once."""
    bus = Elsewhere()
    where, run = key(), RunId(rid())
    head = (await begin(stores, where)).log.head
    words = OpenText(run, item(), "text", "half ")
    bus.opened = OpenItems(head.birth, head.seq, head.epoch, 1, (words,))
    async with (
        following(replace(stores, bus=bus), clock, (where,), 1000) as (broadcast, followers),
        asyncio.timeout(20),
    ):
        while not all(b"item.snapshot" in follower.data for follower in followers):
            await asyncio.sleep(0.01)
        assert bus.asked == broadcast.asks <= 3
        told: Live = Delta(head.birth, head.seq, head.epoch, 2, run, item(), "text", 5, "whole")
        bus.publish(where, told)
        bus.publish(where, Announced(head.birth, head.seq))
        while not all(b'"whole"' in follower.data for follower in followers):
            await asyncio.sleep(0.01)
        for follower in followers:
            assert follower.data.count(b"item.snapshot") == 1
            assert b"event: gap" not in follower.data
        assert bus.asked <= 3
