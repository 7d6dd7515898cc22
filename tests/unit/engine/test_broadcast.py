"""Channels are shared, subscribed once, and linger for a moment: a client that comes back finds what it missed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.errors import StoreUnavailable
from app.core.ids import item_id
from app.core.keys import SessionKey
from app.engine.broadcast import Broadcast
from app.engine.channel import Channel
from app.engine.frames import Cursor
from app.engine.stream import Stream
from app.stores.base import Position
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Live
from app.stores.memory.bus import MemoryBus
from app.testing.clock import ManualClock
from tests.contracts.scenes import begin, finish, key, rid, title
from tests.support.puppet import Puppet
from tests.support.replica import WHO, replica
from tests.support.viewer import Viewer

KEY = key()


class SlowBus(MemoryBus):
    """Takes its time to subscribe, and may fail; counts who is subscribed."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = asyncio.Event()
        self.failure: Exception | None = None
        self.homes: list[bool] = []
        self.attempts = 0

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        self.attempts += 1
        await self.answered.wait()
        if self.failure is not None:
            raise self.failure
        stop = await super().subscribe(key, deliver)
        self.homes.append(home)

        def unsubscribe() -> None:
            self.homes.remove(home)
            stop()

        return unsubscribe


@pytest.fixture
async def bus() -> SlowBus:
    return SlowBus()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def broadcast(stores: Stores, bus: SlowBus, clock: ManualClock) -> AsyncGenerator[Broadcast, None]:
    opened = Broadcast(stores.sessions, stores.heads, bus, clock)
    async with opened.broadcasting():
        yield opened


async def follow(broadcast: Broadcast, key: SessionKey = KEY) -> Channel:
    """Gives the channel that a follower was given before it left again."""
    async with broadcast.following(key) as channel:
        return channel


async def spin() -> None:
    """Everybody had a few turns."""
    for _ in range(20):
        await asyncio.sleep(0)


async def pass_time(clock: ManualClock, seconds: int) -> None:
    """The seconds have passed, one by one."""
    for _ in range(seconds):
        clock.advance(1)
        await spin()


async def test_nobody_follows_before_the_subscription_stands(broadcast: Broadcast, bus: SlowBus) -> None:
    followers = [asyncio.ensure_future(follow(broadcast)) for _ in range(3)]
    await spin()
    assert not any(follower.done() for follower in followers)
    bus.answered.set()
    channels = await asyncio.gather(*followers)
    assert len(set(map(id, channels))) == 1
    assert bus.attempts == 1


async def test_a_subscription_that_fails_fails_all_who_wait_for_it(broadcast: Broadcast, bus: SlowBus) -> None:
    followers = [asyncio.ensure_future(follow(broadcast)) for _ in range(3)]
    await spin()
    bus.failure = StoreUnavailable("no bus")
    bus.answered.set()
    outcomes = await asyncio.gather(*followers, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert bus.attempts == 1
    assert (broadcast.followed(), broadcast.streams, bus.homes) == (0, 0, [])
    bus.failure = None
    assert not (await follow(broadcast)).gone


async def test_a_follower_that_leaves_while_it_waits_does_not_take_the_others_along(
    broadcast: Broadcast, bus: SlowBus
) -> None:
    first, second = [asyncio.ensure_future(follow(broadcast)) for _ in range(2)]
    await spin()
    first.cancel()
    await spin()
    bus.answered.set()
    assert not (await second).gone
    assert first.cancelled()
    assert bus.homes == [False]


async def test_a_channel_lingers_and_is_found_again(broadcast: Broadcast, bus: SlowBus, clock: ManualClock) -> None:
    bus.answered.set()
    channel = await follow(broadcast)
    await pass_time(clock, 4)
    assert await follow(broadcast) is channel
    await pass_time(clock, 4)
    assert broadcast.followed() == 1
    assert broadcast.streams == 0
    await pass_time(clock, 4)
    assert (broadcast.followed(), bus.homes) == (0, [])
    assert await follow(broadcast) is not channel


async def test_only_so_many_channels_linger(
    broadcast: Broadcast, bus: SlowBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.broadcast.LINGERING", 2)
    bus.answered.set()
    channels = [await follow(broadcast, key(f"s{i}")) for i in range(4)]
    assert broadcast.followed() == len(bus.homes) == 2
    assert [await follow(broadcast, key(f"s{i}")) is channels[i] for i in (3, 2)] == [True, True]
    assert await follow(broadcast, key("s0")) is not channels[0]


async def test_others_are_told_once_somebody_follows_who_is_not_at_home(broadcast: Broadcast, bus: SlowBus) -> None:
    bus.answered.set()
    async with broadcast.following(KEY, home=True) as first:
        assert bus.homes == [True]
        async with broadcast.following(KEY) as second, broadcast.following(KEY, home=True):
            assert first is second
            assert bus.homes == [False]


async def test_what_comes_late_of_a_run_that_is_over_is_not_shown_again(stores: Stores, bus: SlowBus) -> None:
    """The client saw the run's end on another replica; on this one its last deltas are still to come."""
    bus.answered.set()
    claimed = await begin(stores, KEY)
    before = claimed.log.head.seq
    await finish(stores, KEY, claimed)
    head = (await stores.sessions.read(KEY, 0)).head
    broadcast = Broadcast(stores.sessions, stores.heads, bus, ManualClock())
    async with broadcast.broadcasting():
        await broadcast.prime(KEY, head.birth, before, head.epoch)
        stream = Stream(broadcast, KEY, Cursor(head.seq, head.birth))
        async with aclosing(stream.frames()) as frames, asyncio.timeout(5):
            first = asyncio.ensure_future(anext(frames))
            await spin()
            for d in range(1, 6):
                item = item_id(rid(), 0, 0)
                bus.publish(KEY, Delta(head.birth, before, head.epoch, d, rid(), item, "text", d, "x"))
            written = await stores.sessions.append(KEY, Position(head.birth, head.seq), [title("new")])
            bus.publish(KEY, Announced(head.birth, head.seq + 1, written))
            shown = await first
            while b"state.patched" not in shown:
                shown += await anext(frames)
    assert b"event: delta" not in shown
    assert b"event: reset" not in shown


async def test_a_client_that_comes_back_asks_nobody_again(stores: Stores, tmp_path: Path) -> None:
    gates = [asyncio.Event() for _ in range(6)]
    model = Puppet([piece for gate in gates for piece in ("word ", gate)])
    seen = Viewer()
    async with replica(stores, model, tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("go")
        for gate in gates:
            seen.reconnect()
            stream = await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)
            async with aclosing(stream.frames()) as frames:
                before = sum(map(len, seen.texts.values()))
                while sum(map(len, seen.texts.values())) == before:
                    seen.feed(await anext(frames))
            await spin()  # what the owner said it has shown has reached the ring, too
            gate.set()
        async for data in (await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)).frames():
            seen.feed(data)
        assert server.engine._broadcast.asks == 1
    assert seen.status == "completed"
    assert seen.names.count("item.snapshot") <= 1
