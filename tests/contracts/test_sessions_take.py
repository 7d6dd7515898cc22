"""`take`: ready sessions find an owner, fairly between tenants."""

import asyncio
from collections import Counter

import pytest

from app.core.errors import StaleClaim
from app.core.ids import Birth, Nonce
from app.stores.base import Position, Release, Taken
from app.stores.bundle import Stores
from app.stores.head import Claim
from app.testing.clock import ManualClock
from tests.contracts.scenes import (
    answer,
    ask,
    begin,
    cancel,
    done,
    finish,
    key,
    rid,
    suspended,
    turn,
    types,
    wait_in_line,
    who,
    whole,
)

KEY = key()


async def line_up(stores: Stores, clock: ManualClock, tenant: str, count: int) -> None:
    """Makes sessions of that tenant ready, one second after the other."""
    for number in range(count):
        clock.advance(1)
        await wait_in_line(stores, key(f"{tenant}{number}", tenant=tenant))


async def take(stores: Stores, slots: int = 1, nonce: str = "n", incarnation: str = "i") -> tuple[Taken, ...]:
    return await stores.sessions.take(who(nonce, incarnation), slots, [])


def names(taken: tuple[Taken, ...]) -> list[str]:
    return [one.key.session for one in taken]


async def test_a_ready_session_is_the_claimants(stores: Stores) -> None:
    await wait_in_line(stores, KEY)
    (taken,) = await take(stores)
    assert (taken.key, taken.claim, taken.orphaned) == (KEY, Claim(1, Nonce("n-0")), False)
    assert types(taken.log.entries) == ["session.created", "run.queued", "run.started"]
    assert taken.log == await whole(stores, KEY)
    await stores.sessions.commit(KEY, taken.claim, 1, 3, [done()], Release())


async def test_nothing_ready_gives_nothing(stores: Stores) -> None:
    assert await take(stores) == ()
    await begin(stores, key("owned"), by=who("n1", "other"))
    await turn(stores, key("idle"))
    claimed = await begin(stores, key("suspended"))
    await stores.sessions.commit(key("suspended"), claimed.claim, 1, 3, [suspended(where=key("suspended"))], Release())
    assert await take(stores) == ()


async def test_it_gives_no_more_than_the_slots(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 3)
    assert await take(stores, 0) == ()
    assert names(await take(stores, 2)) == ["a0", "a1"]
    assert names(await take(stores, 2, "n2", "i2")) == ["a2"]


async def test_each_session_of_one_call_bears_a_nonce_of_its_own(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 3)
    assert [one.claim for one in await take(stores, 3)] == [Claim(1, Nonce(f"n-{i}")) for i in range(3)]


async def test_the_longest_ready_comes_first(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 2)
    (first,) = await take(stores)
    await line_up(stores, clock, "a", 3)
    clock.advance(1)
    await stores.sessions.commit(first.key, first.claim, 1, 3, [], Release())
    assert names(await take(stores, 3)) == ["a1", "a2", "a0"]


async def test_a_tenant_with_one_session_does_not_wait_for_one_with_many(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 4)
    await line_up(stores, clock, "b", 1)
    assert names(await take(stores, 3)) == ["a0", "b0", "a1"]


async def test_what_runs_already_counts(stores: Stores, clock: ManualClock) -> None:
    await begin(stores, key("runs", tenant="a"), by=who("n1", "other"))
    await line_up(stores, clock, "a", 2)
    await line_up(stores, clock, "b", 2)
    assert names(await take(stores, 4)) == ["b0", "a0", "b1", "a1"]


async def test_agents_that_the_claimant_does_not_know_are_passed_over(stores: Stores, clock: ManualClock) -> None:
    strange = key("strange", agent="x")
    await stores.sessions.submit(strange, ask(where=strange), None)
    await line_up(stores, clock, "t", 1)
    assert names(await take(stores, 2)) == ["t0"]
    (taken,) = await stores.sessions.take(who("n2", agents=["x"]), 2, [Nonce("n-0")])
    assert taken.key.agent == "x"


async def test_a_run_that_has_begun_is_taken_by_whoever_comes(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()], Release())
    (taken,) = await stores.sessions.take(who("n2", agents=[]), 1, [])
    assert (taken.claim, types(taken.log.entries[3:])) == (Claim(2, Nonce("n2-0")), ["message.appended"])


async def test_two_at_once_share_what_is_ready(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 5)
    first, second = await asyncio.gather(take(stores, 3, "n1", "i1"), take(stores, 3, "n2", "i2"))
    assert sorted(names(first) + names(second)) == [f"a{number}" for number in range(5)]


async def test_a_lost_reply_is_taken_again(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 2)
    lost = await take(stores, 2, "n1")
    again = await take(stores, 2, "n2")
    assert Counter(names(again)) == Counter(names(lost))
    assert all(taken.orphaned and taken.claim.epoch == 2 for taken in again)
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(lost[0].key, lost[0].claim, 1, 3, [answer(where=lost[0].key)])


async def test_what_the_claimant_holds_stays_with_it(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "a", 3)
    mine = await take(stores, 2, "n1")
    taken = await stores.sessions.take(who("n2"), 2, [one.claim.nonce for one in mine])
    assert names(taken) == ["a2"]


async def test_ones_own_lost_session_comes_before_the_ready_ones(stores: Stores, clock: ManualClock) -> None:
    await line_up(stores, clock, "b", 1)
    await take(stores, 1, "lost")
    await line_up(stores, clock, "a", 1)
    assert names(await take(stores, 2, "n2")) == ["b0", "a0"]


async def test_the_sessions_of_other_incarnations_are_left_alone(stores: Stores) -> None:
    await begin(stores, KEY, by=who("n1", "other"))
    assert await take(stores) == ()


async def test_a_lost_session_without_anything_to_do_waits_for_an_input(stores: Stores) -> None:
    claimed = await begin(stores, KEY, by=who("n1"))
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [done()])
    assert await take(stores, 1, "n2") == ()
    await stores.sessions.submit(KEY, ask("r2"), None)
    (taken,) = await take(stores, 1, "n2")
    assert taken.log.head.active == rid("r2")


async def test_a_resumed_session_comes_with_its_checkpoint_and_tail(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, Position(Birth("b"), 3), [cancel()])
    await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer()], Release())
    (taken,) = await take(stores, 1, "n2")
    state = taken.log.state()
    assert (state.seq, state.run is not None and state.run.cancelling) == (5, True)


async def test_a_sweep_makes_the_sessions_of_the_dead_ready(stores: Stores) -> None:
    claimed = await begin(stores, KEY, by=who("n1", "dead"))
    await begin(stores, key("alive"), by=who("n2", "alive"))
    assert await stores.sessions.sweep(who("n1", "dead").incarnation, 10) == 1
    assert (await whole(stores, KEY)).head.status == "ready"
    with pytest.raises(StaleClaim):
        await finish(stores, KEY, claimed)
    (taken,) = await take(stores, 2)
    assert (taken.key, taken.orphaned, taken.claim.epoch) == (KEY, True, 3)
    assert await stores.sessions.sweep(who("n1", "dead").incarnation, 10) == 0


async def test_a_sweep_takes_no_more_than_its_limit(stores: Stores) -> None:
    for number in range(3):
        await begin(stores, key(f"s{number}"), by=who(f"n{number}", "dead"))
    dead = who(incarnation="dead").incarnation
    assert [await stores.sessions.sweep(dead, 2) for _ in range(3)] == [2, 1, 0]


async def test_a_session_that_was_let_go_in_good_order_is_not_orphaned(stores: Stores) -> None:
    await begin(stores, KEY, by=who("n1", "dead"))
    await stores.sessions.sweep(who(incarnation="dead").incarnation, 1)
    (orphaned,) = await take(stores, 1, "n2")
    await stores.sessions.commit(KEY, orphaned.claim, 1, 3, [], Release())
    (taken,) = await take(stores, 1, "n3", "i3")
    assert (orphaned.orphaned, taken.orphaned) == (True, False)


async def test_trap_lease_owner_is_an_incarnation(stores: Stores) -> None:
    """A restarted worker of the same name took its own dead runs for live ones."""
    await begin(stores, KEY, by=who("n1", "worker, first life"))
    assert await take(stores, 1, "n2", "worker, second life") == ()
    await stores.sessions.sweep(who(incarnation="worker, first life").incarnation, 1)
    (taken,) = await take(stores, 1, "n2", "worker, second life")
    assert taken.orphaned


async def test_trap_lock_released_without_comparing_the_token(stores: Stores) -> None:
    """A release by an earlier holder took the session from the one that held it now."""
    earlier = await begin(stores, KEY, by=who("n1"))
    (later,) = await take(stores, 1, "n2")
    for number in (1, 2):
        with pytest.raises(StaleClaim):
            await stores.sessions.commit(KEY, earlier.claim, number, 3, [], Release())
    assert (await whole(stores, KEY)).head.claim == later.claim
