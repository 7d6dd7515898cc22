"""The lease: valid for so long after a beat was sent, lapsed after that, dead for ever once others say so."""

import asyncio

import pytest

from app.core.errors import StaleClaim
from app.core.ids import Incarnation
from app.engine.lease import Lease
from app.testing.clock import ManualClock

SECONDS = 4.0


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.advance(100)
    return clock


@pytest.fixture
def lease(clock: ManualClock) -> Lease:
    return Lease(Incarnation("one"), clock, SECONDS)


async def waiting(lease: Lease) -> asyncio.Task[None]:
    """Gives a task that waits for the lease."""
    task = asyncio.get_running_loop().create_task(lease.held())
    await asyncio.sleep(0)
    return task


def test_before_the_first_beat_it_is_not_valid(lease: Lease) -> None:
    assert not lease.is_valid
    assert lease.lapses == 0


def test_it_is_valid_from_the_send_on_for_its_seconds(lease: Lease, clock: ManualClock) -> None:
    sent = clock.monotonic()
    clock.advance(3)
    lease.renew(sent)
    assert lease.is_valid
    clock.advance(0.99)
    assert lease.is_valid
    clock.advance(0.01)
    assert not lease.is_valid


def test_an_answer_that_comes_too_late_renews_nothing(lease: Lease, clock: ManualClock) -> None:
    sent = clock.monotonic()
    clock.advance(SECONDS)
    lease.renew(sent)
    assert not lease.is_valid


async def test_it_is_held_at_once_while_it_is_valid(lease: Lease, clock: ManualClock) -> None:
    lease.renew(clock.monotonic())
    assert (await waiting(lease)).done()


async def test_who_needs_it_waits_while_it_has_lapsed(lease: Lease, clock: ManualClock) -> None:
    lease.renew(clock.monotonic())
    clock.advance(SECONDS)
    waiters = [await waiting(lease), await waiting(lease)]
    assert not any(waiter.done() for waiter in waiters)
    lease.renew(clock.monotonic() - SECONDS)
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    lease.renew(clock.monotonic())
    async with asyncio.timeout(1):
        await asyncio.gather(*waiters)


async def test_who_waits_is_told_of_the_death(lease: Lease, clock: ManualClock) -> None:
    waiter = await waiting(lease)
    lease.die()
    with pytest.raises(StaleClaim):
        await waiter
    lease.renew(clock.monotonic())
    assert not lease.is_valid
    with pytest.raises(StaleClaim):
        await lease.held()


def test_a_lapse_is_counted_once_and_told(lease: Lease, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        lease.renew(clock.monotonic())
        clock.advance(SECONDS)
        lease.miss()
        lease.miss()
    lease.renew(clock.monotonic())
    assert lease.lapses == 2
    told = [(record.message.partition(":")[0], getattr(record, "incarnation", None)) for record in caplog.records]
    again = [("the lease has lapsed", "one"), ("the lease is valid again", "one")]
    assert told == [("joined the other replicas", "one"), *again, *again]


def test_a_lapse_that_nobody_saw_is_counted_by_the_next_beat(lease: Lease, clock: ManualClock) -> None:
    lease.renew(clock.monotonic())
    clock.advance(60)
    lease.renew(clock.monotonic())
    assert lease.lapses == 1
    assert lease.is_valid


def test_it_is_seasoned_after_a_full_lease_of_beats(lease: Lease, clock: ManualClock) -> None:
    for _ in range(4):
        lease.renew(clock.monotonic())
        assert not lease.is_seasoned
        clock.advance(1)
    assert lease.is_seasoned


@pytest.mark.parametrize("missed", [True, False], ids=["a failed beat", "a pause"])
def test_it_is_seasoned_anew_after_a_break(lease: Lease, clock: ManualClock, missed: bool) -> None:
    lease.renew(clock.monotonic())
    clock.advance(1 if missed else SECONDS)
    if missed:
        lease.miss()
        assert lease.is_valid
    assert not lease.is_seasoned
    for _ in range(4):
        lease.renew(clock.monotonic())
        assert not lease.is_seasoned
        clock.advance(1)
    assert lease.is_seasoned


async def test_who_is_alone_has_an_endless_lease(clock: ManualClock) -> None:
    lease = Lease.endless(Incarnation("one"), clock)
    clock.advance(1e9)
    assert lease.is_valid
    assert not lease.is_seasoned
    await lease.held()
