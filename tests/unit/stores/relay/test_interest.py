"""Who follows what is known where it matters, in time, and nothing is sent for nobody."""

import asyncio
from collections.abc import Sequence

import pytest

from app.core.ids import Birth
from app.stores.bus import Announced, Gone, Live, Nudge
from app.stores.relay.interest import EXPIRE_SECONDS, RENEW_SECONDS
from app.stores.relay.letters import Following, address_of, unpack
from app.stores.relay.wire import Post
from app.testing.clock import ManualClock
from tests.contracts.scenes import key, rid
from tests.contracts.test_bus import KEY, Mailbox, delta, open_items, said
from tests.unit.stores.relay.media import Air, Counted, Relays, Replica, until


async def settle(speaker: Replica, listener: Replica) -> None:
    """What the speaker had to say before has arrived at the listener."""
    box = Mailbox()
    stop = await listener.bus.on_wake(box.ring)
    speaker.bus.wake()
    await box.until(lambda: box.rings > 0)
    stop()


def told(posts: Sequence[Post]) -> set[bytes]:
    """Gives the sessions that somebody said to follow."""
    payloads = [unpack(post.payload) for post in posts]
    letters = [letter for payload in payloads if payload is not None for letter in payload.letters]
    return {session for letter in letters if isinstance(letter, Following) for session in letter.sessions}


async def renew(clock: ManualClock) -> None:
    """Everybody renews what it follows."""
    await until(lambda: clock.sleepers > 0)
    clock.advance(RENEW_SECONDS)


async def test_a_turn_that_nobody_follows_elsewhere_sends_nothing(relays: Relays) -> None:
    runner, other = await relays.start(), await relays.start()
    await settle(runner, other)
    before, box = len(runner.wire.posts), Mailbox()
    await runner.bus.subscribe(KEY, box.deliver, home=True)
    await runner.bus.answer(KEY, open_items)
    for d in range(1, 101):
        runner.bus.publish(KEY, delta(d))
    runner.bus.publish(KEY, said(4))
    await box.until(lambda: len(box.letters) == 101)
    await settle(runner, other)
    assert len(runner.wire.posts) == before + 1, "only the wake-up that settled"


async def test_only_who_follows_is_sent_to(relays: Relays) -> None:
    runner, follower, other = [await relays.start(ManualClock()) for _ in range(3)]
    box = Mailbox()
    await runner.bus.answer(KEY, open_items)
    await follower.bus.subscribe(KEY, box.deliver)
    await runner.knows(KEY, follower)
    await settle(runner, other)
    before = len(runner.wire.posts)
    runner.bus.publish(KEY, delta(1))
    runner.bus.publish(KEY, said(4))
    await box.until(lambda: len(box.letters) == 2)
    assert {post.to for post in runner.wire.posts[before:]} == {follower.name}
    assert other.name not in runner.bus.interest.of(address_of(KEY))


async def test_others_are_told_before_a_subscriber_goes_on(relays: Relays) -> None:
    """A follower subscribes first, then replays: what is published in between must be on its way to it."""
    follower = await relays.start()
    await follower.bus.subscribe(KEY, Mailbox().deliver)
    assert address_of(KEY) in told(follower.wire.posts)


async def test_a_subscriber_waits_for_the_wire_but_not_for_ever(
    air_relays: tuple[Relays, Air], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stores.relay.bus.TELL_SECONDS", 0.05)
    follower = await air_relays[0].start()
    gate = asyncio.Event()
    send = follower.wire.wire.send

    async def slow(posts: Sequence[Post]) -> None:
        await gate.wait()
        await send(posts)

    monkeypatch.setattr(follower.wire, "send", slow)
    async with asyncio.TaskGroup() as tasks:
        subscribing = tasks.create_task(follower.bus.subscribe(KEY, Mailbox().deliver))
        await asyncio.sleep(0.01)
        assert not subscribing.done()
    gate.set()
    await follower.bus.subscribe(key("other"), Mailbox().deliver)


async def test_the_second_follower_of_a_session_costs_nothing(relays: Relays) -> None:
    follower, other = await relays.start(), await relays.start()
    stop = await follower.bus.subscribe(KEY, Mailbox().deliver)
    await settle(follower, other)
    before = len(follower.wire.posts)
    await follower.bus.subscribe(KEY, Mailbox().deliver)
    stop()
    await follower.bus.subscribe(KEY, Mailbox().deliver)
    assert len(follower.wire.posts) == before


async def test_a_late_joiner_learns_who_follows(relays: Relays) -> None:
    follower, box = await relays.start(ManualClock()), Mailbox()
    await follower.bus.subscribe(KEY, box.deliver)
    late = await relays.start()
    await late.knows(KEY, follower)
    late.bus.publish(KEY, delta(1))
    await box.until(lambda: box.letters == [delta(1)])


async def test_a_session_at_home_is_told_with_the_next_renewal(air_relays: tuple[Relays, Air]) -> None:
    clock = ManualClock()
    here, other = await air_relays[0].start(clock), await air_relays[0].start()
    await here.bus.subscribe(KEY, Mailbox().deliver, home=True)
    await settle(here, other)
    assert address_of(KEY) not in told(here.wire.posts)
    await renew(clock)
    await other.knows(KEY, here)


async def test_who_renews_is_sent_to_for_ever(air_relays: tuple[Relays, Air]) -> None:
    clock, box = ManualClock(), Mailbox()
    runner, follower = await air_relays[0].start(clock), await air_relays[0].start(clock)
    await follower.bus.subscribe(KEY, box.deliver)
    for _ in range(int(2 * EXPIRE_SECONDS / RENEW_SECONDS)):
        await renew(clock)
        await settle(follower, runner)
    runner.bus.publish(KEY, delta(1))
    await box.until(lambda: box.letters == [delta(1)])


async def test_who_died_is_forgotten(air_relays: tuple[Relays, Air]) -> None:
    relays, air = air_relays
    clock = ManualClock()
    runner = await relays.start(clock)
    dead = await relays.start(clock)
    await dead.bus.subscribe(KEY, Mailbox().deliver)
    await runner.knows(KEY, dead)
    await settle(dead, runner)
    air.listeners = {runner.name: air.listeners[runner.name]}
    air.loses = lambda post: post.to is None
    clock.advance(EXPIRE_SECONDS - 0.1)
    assert runner.bus.interest.of(address_of(KEY)) == [dead.name]
    clock.advance(0.2)
    assert runner.bus.interest.of(address_of(KEY)) == []
    await renew(clock)
    await until(lambda: address_of(KEY) not in runner.bus.interest)


async def test_who_left_says_so_with_the_next_renewal_and_hears_nothing(air_relays: tuple[Relays, Air]) -> None:
    clock, box = ManualClock(), Mailbox()
    runner, follower = await air_relays[0].start(), await air_relays[0].start(clock)
    stop = await follower.bus.subscribe(KEY, box.deliver)
    await runner.knows(KEY, follower)
    stop()
    runner.bus.publish(KEY, delta(1))
    await settle(runner, follower)
    assert box.letters == []
    await renew(clock)
    await until(lambda: not runner.bus.interest.of(address_of(KEY)))


@pytest.mark.parametrize("message", [Nudge(rid()), Gone(Birth("b")), Announced(Birth("b"), 4)])
async def test_who_is_not_at_home_reaches_the_owner_though_it_told_nobody(relays: Relays, message: Live) -> None:
    owner, other, box = await relays.start(), await relays.start(), Mailbox()
    await owner.bus.subscribe(KEY, box.deliver, home=True)
    other.bus.publish(KEY, message)
    await box.until(lambda: box.letters == [message])


async def test_a_new_owner_elsewhere_reaches_the_followers(relays: Relays) -> None:
    first, second, box = await relays.start(), await relays.start(), Mailbox()
    stop = await first.bus.answer(KEY, open_items)
    await first.bus.subscribe(KEY, box.deliver)
    stop()
    await second.bus.answer(KEY, open_items)
    await second.knows(KEY, first)
    second.bus.publish(KEY, said(4))
    second.bus.publish(KEY, delta(1))
    await box.until(lambda: box.letters == [said(4), delta(1)])


async def test_many_sessions_are_told_in_payloads_that_fit(relays: Relays) -> None:
    follower = await relays.start(ManualClock())
    keys = [key(f"s{number}") for number in range(1000)]
    for each in keys:
        await follower.bus.subscribe(each, Mailbox().deliver, home=True)
    late = await relays.start()
    for each in (keys[0], keys[-1]):
        await late.knows(each, follower)
    assert_within_limits(follower.wire)


async def test_wake_ups_in_a_burst_are_few(relays: Relays) -> None:
    waker, sleeper, box = await relays.start(), await relays.start(), Mailbox()
    await sleeper.bus.on_wake(box.ring)
    await settle(waker, sleeper)
    before = len(waker.wire.posts)
    for _ in range(1000):
        waker.bus.wake()
    await box.until(lambda: box.rings > 0)
    assert len(waker.wire.posts) - before <= 2


def assert_within_limits(wire: Counted) -> None:
    assert max(len(post.payload) for post in wire.posts) <= wire.terms.limit
