"""`append`: records of somebody who owns nothing, by compare-and-set on the head."""

import asyncio

import pytest
from msgspec.structs import replace

from app.core.errors import HeadMoved, RecordTooLarge, SessionExists, SessionNotFound, StaleClaim
from app.core.ids import Birth
from app.core.records import READER, SessionCreated
from app.stores.base import Position, Queued, Release
from app.stores.bundle import Stores
from app.testing.clock import START, ManualClock
from tests.contracts.scenes import (
    NewerPatch,
    ask,
    begin,
    cancel,
    end,
    finish,
    key,
    suspended,
    title,
    turn,
    types,
    who,
    whole,
)

KEY = key()
NEW = Position(Birth("b"), 0)
CREATED = SessionCreated(at=START, title="new")


async def test_seq_zero_creates_the_session(stores: Stores) -> None:
    entries = await stores.sessions.append(KEY, NEW, [CREATED])
    log = await whole(stores, KEY)
    assert [entry.seq for entry in entries] == [1]
    assert log.entries == entries
    assert (log.head.birth, log.head.title, log.head.status) == ("b", "new", "idle")


async def test_a_repeated_creation_changes_nothing(stores: Stores) -> None:
    entries = await stores.sessions.append(KEY, NEW, [CREATED])
    assert await stores.sessions.append(KEY, NEW, [CREATED]) == entries
    await stores.sessions.append(KEY, replace(NEW, seq=1), [title("later")])
    assert await stores.sessions.append(KEY, NEW, [CREATED]) == entries
    assert (await whole(stores, KEY)).head.seq == 2


async def test_a_second_creation_is_refused(stores: Stores) -> None:
    await stores.sessions.append(KEY, NEW, [CREATED])
    with pytest.raises(SessionExists):
        await stores.sessions.append(KEY, Position(Birth("b2"), 0), [CREATED])
    assert (await whole(stores, KEY)).head.birth == "b"


async def test_two_creations_at_once_make_one_session(stores: Stores) -> None:
    creations = (stores.sessions.append(KEY, Position(Birth(birth), 0), [CREATED]) for birth in ("b1", "b2"))
    outcomes = await asyncio.gather(*creations, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(SessionExists) == 1
    assert (await whole(stores, KEY)).head.seq == 1


async def test_the_first_input_goes_to_a_session_that_was_created(stores: Stores) -> None:
    await stores.sessions.append(KEY, NEW, [CREATED])
    claimed = await begin(stores, KEY, birth="ignored", title="ignored")
    assert types(claimed.log.entries) == ["session.created", "run.queued", "run.started"]
    assert (claimed.log.head.birth, claimed.log.head.title) == ("b", "new")


async def test_the_records_follow_the_expected_position(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    entries = await stores.sessions.append(KEY, end(claimed.log), [title("x"), title("y")])
    assert [entry.seq for entry in entries] == [4, 5]
    assert (await whole(stores, KEY)).entries == claimed.log.entries + entries


@pytest.mark.parametrize("position", [Position(Birth("b"), 2), Position(Birth("b"), 4), Position(Birth("b2"), 3)])
async def test_a_log_that_is_elsewhere_gets_nothing(stores: Stores, position: Position) -> None:
    claimed = await begin(stores, KEY)
    with pytest.raises(HeadMoved):
        await stores.sessions.append(KEY, position, [title("x")])
    assert await whole(stores, KEY) == claimed.log


async def test_an_absent_session_is_not_found(stores: Stores) -> None:
    with pytest.raises(SessionNotFound):
        await stores.sessions.append(KEY, Position(Birth("b"), 1), [title("x")])


@pytest.mark.parametrize("seq", [-1, 2**40])
async def test_no_session_begins_elsewhere_than_at_its_beginning(stores: Stores, seq: int) -> None:
    with pytest.raises(SessionNotFound):
        await stores.sessions.append(KEY, replace(NEW, seq=seq), [CREATED])
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY)


async def test_a_log_may_begin_without_a_record(stores: Stores) -> None:
    assert await stores.sessions.append(KEY, NEW, []) == await stores.sessions.append(KEY, NEW, []) == ()
    with pytest.raises(SessionExists):
        await stores.sessions.append(KEY, replace(NEW, birth=Birth("other")), [])
    log = await whole(stores, KEY)
    assert (log.entries, log.head.seq, log.head.birth, log.state().messages) == ((), 0, "b", ())
    (listed,) = await stores.sessions.list(KEY.tenant, KEY.user, None, None, 10)
    assert (listed.key, listed.seq, listed.status) == (KEY, 0, "idle")
    claimed = await begin(stores, KEY, birth="yet another")
    assert types(claimed.log.entries) == ["session.created", "run.queued", "run.started"]
    assert claimed.log.head.birth == "b"


async def test_a_record_that_is_too_large_is_not_written(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    with pytest.raises(RecordTooLarge):
        await stores.sessions.append(KEY, end(claimed.log), [title("x"), title("y" * 70_000)])
    assert await whole(stores, KEY) == claimed.log


async def test_of_two_at_once_one_is_written(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    both = (stores.sessions.append(KEY, end(claimed.log), [title(text)]) for text in "xy")
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(HeadMoved) == 1
    assert (await whole(stores, KEY)).head.seq == 4


async def test_the_claim_in_force_stays_in_force(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, end(claimed.log), [title("x")])
    committed = await finish(stores, KEY, claimed)
    assert types(committed.unseen) == ["state.patched"]


async def test_a_cancel_wakes_a_suspended_run(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [suspended()], Release())
    await stores.sessions.append(KEY, Position(Birth("b"), 4), [cancel()])
    assert (await whole(stores, KEY)).head.status == "ready"
    (taken,) = await stores.sessions.take(who("n2"), 1, [])
    assert (taken.key, taken.orphaned, taken.log.state().run is not None) == (KEY, False, True)
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, claimed.claim, 2, 4, [])


async def test_a_record_for_newer_readers_keeps_the_older_ones_away(stores: Stores) -> None:
    await turn(stores, KEY)
    await stores.sessions.append(KEY, end(await whole(stores, KEY)), [NewerPatch(at=START, title="new")])
    assert (await whole(stores, KEY)).head.min_reader == READER + 1
    assert isinstance(await stores.sessions.submit(KEY, ask("r2"), who("n2")), Queued)
    assert await stores.sessions.take(who("n2"), 1, []) == ()
    (taken,) = await stores.sessions.take(who("n2", reader=READER + 1), 1, [])
    assert taken.log.state().title == "new"


async def test_the_head_tells_when_it_was_changed(stores: Stores, clock: ManualClock) -> None:
    claimed = await begin(stores, KEY)
    clock.advance(60)
    await stores.sessions.append(KEY, end(claimed.log), [title("x")])
    head = (await whole(stores, KEY)).head
    assert (head.created_at, head.updated_at) == (START.timestamp(), START.timestamp() + 60)
