"""The manual clock moves when told, and wakes who slept long enough."""

import asyncio

from app.testing.clock import START, ManualClock
from app.testing.ids import SequentialIds


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_it_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock()
    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    clock.advance(1.5)
    assert ((clock.now() - START).total_seconds(), clock.monotonic()) == (1.5, 1.5)


async def test_sleepers_wake_when_their_time_has_come() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3, 1, 2, 0):
            tasks.create_task(sleep(seconds))
        await settle()
        assert (woken, clock.sleepers) == ([0], 3)
        clock.advance(2)
        await settle()
        assert (woken, clock.sleepers) == ([0, 1, 2], 1)
        clock.advance(1)


async def test_a_cancelled_sleep_is_over() -> None:
    clock = ManualClock()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(clock.sleep(1))
        await settle()
        task.cancel()
    assert clock.sleepers == 0
    clock.advance(1)


def test_ids_count() -> None:
    ids = SequentialIds("x")
    assert [ids.token(), ids.token()] == ["x1", "x2"]
