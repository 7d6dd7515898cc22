import asyncio

import pytest

from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.redis.clock import stamp
from app.stores.redis.connection import Connection
from app.stores.redis.names import replicas
from app.stores.redis.replicas import FORGOTTEN_SECONDS, RedisReplicas
from app.testing.clock import ManualClock

ONE, TWO = Incarnation("one"), Incarnation("two")


async def test_the_servers_clock_decides(redis: Connection) -> None:
    ports = RedisReplicas(redis, stamp(None))
    await ports.beat(ONE)
    await asyncio.sleep(0.01)
    (beat,) = await ports.live()
    assert 0.01 <= beat.age < 10


async def test_those_who_left_are_remembered_for_a_week_only(redis: Connection) -> None:
    clock = ManualClock()
    ports = RedisReplicas(redis, stamp(lambda: clock.now().timestamp()))
    for number in range(20):
        await ports.forget(Incarnation(f"old {number}"))
    clock.advance(FORGOTTEN_SECONDS - 1)
    with pytest.raises(ReplicaDead):
        await ports.beat(Incarnation("old 0"))
    clock.advance(1)
    await ports.forget(ONE)
    assert await redis.command("ZCARD", replicas("forgotten")) == 1
    with pytest.raises(ReplicaDead):
        await ports.beat(ONE)


async def test_a_clock_that_was_set_back_makes_nobody_younger_than_now(redis: Connection) -> None:
    now = 1000.0
    ports = RedisReplicas(redis, stamp(lambda: now))
    await ports.beat(ONE)
    now = 10.0
    (beat,) = await ports.live()
    assert beat.age == 0


async def test_many_beats_at_once_are_all_counted(redis: Connection) -> None:
    ports = RedisReplicas(redis, stamp(None))
    await asyncio.gather(*(ports.beat(one) for one in (ONE, TWO) for _ in range(50)))
    assert sorted((beat.incarnation, beat.count) for beat in await ports.live()) == [(ONE, 50), (TWO, 50)]
