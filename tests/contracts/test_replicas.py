"""`Replicas`: who is alive, by the store's clock; who was declared dead stays dead."""

import asyncio

import pytest

from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.base import Beat
from app.stores.bundle import Stores
from app.testing.clock import ManualClock
from tests.contracts.backends import Backend

ONE, TWO = Incarnation("one"), Incarnation("two")


async def beat_of(stores: Stores, incarnation: Incarnation) -> Beat:
    return next(beat for beat in await stores.replicas.live() if beat.incarnation == incarnation)


async def bury(stores: Stores, incarnation: Incarnation) -> None:
    assert await stores.replicas.bury(await beat_of(stores, incarnation))


async def names(stores: Stores) -> list[Incarnation]:
    return [beat.incarnation for beat in await stores.replicas.live()]


async def test_at_first_nobody_lives(stores: Stores) -> None:
    assert await stores.replicas.live() == ()
    assert await stores.replicas.buried() == ()


async def test_who_beats_lives(stores: Stores, clock: ManualClock) -> None:
    await stores.replicas.beat(ONE)
    clock.advance(2.5)
    assert (await beat_of(stores, ONE)).age == pytest.approx(2.5)
    await stores.replicas.beat(ONE)
    assert (await beat_of(stores, ONE)).age == pytest.approx(0)


async def test_beats_are_told_apart(stores: Stores) -> None:
    counts: list[int] = []
    for _ in range(3):
        await stores.replicas.beat(ONE)
        counts.append((await beat_of(stores, ONE)).count)
    assert counts == sorted(set(counts))


async def test_the_longest_silent_comes_first(stores: Stores, clock: ManualClock) -> None:
    for name in (ONE, TWO):
        await stores.replicas.beat(name)
        clock.advance(1)
    assert await names(stores) == [ONE, TWO]
    await stores.replicas.beat(ONE)
    assert await names(stores) == [TWO, ONE]


async def test_the_buried_never_live_again(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    await stores.replicas.beat(TWO)
    await bury(stores, ONE)
    assert await stores.replicas.buried() == (ONE,)
    assert await names(stores) == [TWO]
    for _ in range(2):
        with pytest.raises(ReplicaDead):
            await stores.replicas.beat(ONE)
    await stores.replicas.beat(TWO)


async def test_a_beat_in_time_prevents_the_burial(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    seen = await beat_of(stores, ONE)
    await stores.replicas.beat(ONE)
    assert not await stores.replicas.bury(seen)
    assert await stores.replicas.buried() == ()
    await stores.replicas.beat(ONE)


async def test_a_beat_and_a_burial_at_once_agree(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    seen = await beat_of(stores, ONE)
    buried, beaten = await asyncio.gather(stores.replicas.bury(seen), stores.replicas.beat(ONE), return_exceptions=True)
    assert (buried, isinstance(beaten, ReplicaDead)) in ((True, True), (False, False))


async def test_a_burial_may_be_repeated(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    seen = await beat_of(stores, ONE)
    assert [await stores.replicas.bury(seen) for _ in range(2)] == [True, True]
    assert await stores.replicas.buried() == (ONE,)


async def test_the_unknown_are_not_buried(stores: Stores) -> None:
    assert not await stores.replicas.bury(Beat(ONE, 0, 10.0))
    assert await stores.replicas.buried() == ()


async def test_who_left_in_good_order_is_not_listed(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    seen = await beat_of(stores, ONE)
    await stores.replicas.forget(ONE)
    assert await names(stores) == []
    assert not await stores.replicas.bury(seen)
    assert await stores.replicas.buried() == ()
    with pytest.raises(ReplicaDead):
        await stores.replicas.beat(ONE)


async def test_who_is_swept_is_forgotten(stores: Stores) -> None:
    await stores.replicas.beat(ONE)
    await bury(stores, ONE)
    for _ in range(2):
        await stores.replicas.forget(ONE)
    assert await stores.replicas.buried() == ()
    with pytest.raises(ReplicaDead):
        await stores.replicas.beat(ONE)


async def test_who_never_came_may_be_forgotten(stores: Stores) -> None:
    await stores.replicas.forget(ONE)
    assert (await stores.replicas.live(), await stores.replicas.buried()) == ((), ())


async def test_tombstones_outlive_a_restart(backend: Backend, clock: ManualClock) -> None:
    async with backend.open(clock) as stores:
        await stores.replicas.beat(ONE)
        await bury(stores, ONE)
    async with backend.open(clock) as stores:
        assert await stores.replicas.buried() == (ONE,)
        with pytest.raises(ReplicaDead):
            await stores.replicas.beat(ONE)


async def test_the_predecessor_is_listed_after_a_restart_so_that_it_is_buried(
    backend: Backend, clock: ManualClock
) -> None:
    async with backend.open(clock) as stores:
        await stores.replicas.beat(ONE)
    clock.advance(5)
    async with backend.open(clock) as stores:
        await stores.replicas.beat(TWO)
        first, second = await stores.replicas.live()
        assert (first.incarnation, second.incarnation) == (ONE, TWO)
        assert first.age >= 5
        assert await stores.replicas.bury(first)
