"""Questions reach the owner wherever it is, and answers of any size the asker."""

import asyncio

import pytest

from app.core.ids import Birth
from app.stores.bus import OpenItems, OpenText
from app.stores.postgres.database import open_database
from app.stores.postgres.notify import PostgresParcels
from app.stores.relay.letters import address_of
from app.testing.clock import ManualClock
from tests.contracts.scenes import item, key, rid
from tests.contracts.test_bus import KEY, Mailbox, delta, open_items
from tests.support.services.postgres import postgres, run
from tests.unit.stores.relay.media import SECONDS, Air, Relays, until
from tests.unit.stores.relay.test_interest import assert_within_limits, settle


def answer(size: int, texts: int = 1) -> OpenItems:
    shown = tuple(OpenText(rid(), item(), "output", "é" * size) for _ in range(texts))
    return OpenItems(Birth("b"), 3, 1, 7, shown)


@pytest.mark.parametrize("size", [0, 300, 3_000, 30_000, 1_000_000])
async def test_answers_of_any_size_arrive(real_relays: Relays, size: int) -> None:
    owner, asker = await real_relays.start(), await real_relays.start()
    await owner.bus.answer(KEY, lambda: answer(size, 2))
    assert await asker.bus.ask(KEY, SECONDS) == answer(size, 2)
    assert_within_limits(owner.wire)


async def test_an_answer_beyond_all_bounds_is_none(air_relays: tuple[Relays, Air]) -> None:
    owner, asker = await air_relays[0].start(), await air_relays[0].start()
    await owner.bus.answer(KEY, lambda: answer(1_000_000))
    assert await asker.bus.ask(KEY, 0.1) is None
    await owner.bus.answer(KEY, open_items)
    assert await asker.bus.ask(KEY, SECONDS) == open_items()


async def test_many_questions_at_once_get_their_own_answers(relays: Relays) -> None:
    owner, askers = await relays.start(), [await relays.start() for _ in range(2)]
    sessions = [key(f"s{number}") for number in range(20)]
    for number, session in enumerate(sessions):
        await owner.bus.answer(session, lambda number=number: answer(number * 200))
    asked = [asker.bus.ask(session, SECONDS) for asker in askers for session in sessions]
    assert await asyncio.gather(*asked) == [answer(number * 200) for number in range(20)] * 2


async def test_who_asks_follows(relays: Relays) -> None:
    owner, asker, box = await relays.start(), await relays.start(ManualClock()), Mailbox()
    await asker.bus.subscribe(KEY, box.deliver, home=True)
    await owner.bus.answer(KEY, open_items)
    assert address_of(KEY) not in owner.bus.interest
    assert await asker.bus.ask(KEY, SECONDS) == open_items()
    owner.bus.publish(KEY, delta(8))
    await box.until(lambda: box.letters == [delta(8)])


async def test_an_owner_here_is_asked_without_a_word(relays: Relays) -> None:
    owner, other = await relays.start(), await relays.start()
    await settle(owner, other)
    before = len(owner.wire.posts)
    await owner.bus.answer(KEY, open_items)
    assert await owner.bus.ask(KEY, SECONDS) == open_items()
    assert len(owner.wire.posts) == before


async def test_nothing_is_merged_across_an_answer(air_relays: tuple[Relays, Air]) -> None:
    """What an answer holds and what follows it stay apart: else the asker had half of a delta."""
    relays, air = air_relays
    owner, asker, box = await relays.start(), await relays.start(), Mailbox()
    await asker.bus.subscribe(KEY, box.deliver)
    await owner.knows(KEY, asker)
    await settle(owner, asker)

    def showing() -> OpenItems:
        owner.bus.publish(KEY, delta(7))
        return open_items()

    await owner.bus.answer(KEY, showing)
    asking = asker.bus.ask(KEY, SECONDS)
    deliver = air.listeners[owner.name]
    air.listeners[owner.name] = lambda data: (deliver(data), owner.bus.publish(KEY, delta(8)))[0]
    assert await asking == open_items()
    await box.until(lambda: len(box.letters) >= 2)
    assert box.letters[:2] == [delta(7), delta(8)]


async def test_parcels_are_collected_once_and_seen_by_nobody_else() -> None:
    database = postgres().database()
    async with open_database(database.url, pool=1) as pool:
        parcels = PostgresParcels(pool)
        await parcels.leave("a:1", b"x" * 100)
        await parcels.leave("a:1", b"again")
        assert run(database.url, "SELECT count(*) FROM baton.parcels") == [(0,)], "the server's own role looks"
        assert database.run("SELECT count(*) FROM baton.parcels") == [(1,)]
        assert [await parcels.collect(name) for name in ("a:2", "a:1", "a:1")] == [None, b"again", None]


async def test_parcels_that_nobody_collects_are_gone_after_a_while() -> None:
    database = postgres().database()
    async with open_database(database.url, pool=1) as pool:
        parcels = PostgresParcels(pool)
        await parcels.leave("old", b"x")
        database.run("UPDATE baton.parcels SET left_at = left_at - 61")
        await parcels.leave("new", b"x")
        assert database.run("SELECT name FROM baton.parcels") == [("new",)]


async def test_a_late_answer_disturbs_nobody(air_relays: tuple[Relays, Air]) -> None:
    relays, air = air_relays
    owner, asker = await relays.start(), await relays.start()
    await owner.bus.answer(KEY, open_items)
    await settle(owner, asker)
    air.loses = lambda post: post.to == asker.name
    assert await asker.bus.ask(KEY, 0.05) is None
    await until(lambda: any(post.to == asker.name for post in owner.wire.posts))
    late = next(post for post in owner.wire.posts[::-1] if post.to == asker.name)
    air.listeners[asker.name](late.payload)
    air.loses = lambda _: False
    assert await asker.bus.ask(KEY, SECONDS) == open_items()
