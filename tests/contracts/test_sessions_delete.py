"""`delete`: nothing is left but a tombstone, and what comes after is another log."""

import pytest

from app.core.errors import HeadMoved, SessionNotFound, StaleClaim
from app.core.ids import Birth
from app.core.records import SessionCreated
from app.stores.base import Position, Queued, Release
from app.stores.bundle import Stores
from app.testing.clock import START
from tests.contracts.backends import Backend, Footprint
from tests.contracts.scenes import (
    answer,
    ask,
    begin,
    beside,
    end,
    finish,
    key,
    rid,
    title,
    turn,
    types,
    wait_in_line,
    who,
    whole,
)

KEY = key()
CREATED = SessionCreated(at=START)


async def test_an_absent_session_is_not_found(stores: Stores) -> None:
    with pytest.raises(SessionNotFound):
        await stores.sessions.delete(KEY)


async def test_nothing_of_it_is_left(stores: Stores, backend: Backend) -> None:
    await turn(stores, KEY, idempotency_key="k")
    assert backend.footprint(KEY) != Footprint()
    await stores.sessions.delete(KEY)
    assert backend.footprint(KEY) == Footprint()
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY)
    with pytest.raises(SessionNotFound):
        await stores.sessions.delete(KEY)
    assert await stores.sessions.list(KEY.tenant, KEY.user, None, None, 10) == ()
    assert await stores.heads.peek([KEY]) == {}
    assert await stores.runs.find(KEY.tenant, ask().run_id) is None


async def test_other_sessions_are_untouched(stores: Stores) -> None:
    await turn(stores, KEY)
    await turn(stores, key("other"))
    before = await whole(stores, key("other"))
    await stores.sessions.delete(KEY)
    assert await whole(stores, key("other")) == before
    assert await stores.runs.find(KEY.tenant, rid(where=key("other"))) is not None


async def test_its_owner_can_write_nothing_more(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.delete(KEY)
    with pytest.raises(StaleClaim):
        await finish(stores, KEY, claimed)
    with pytest.raises(SessionNotFound):
        await stores.sessions.append(KEY, end(claimed.log), [title("x")])
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY)


async def test_a_repeated_commit_of_a_deleted_log_is_stale(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    await stores.sessions.delete(KEY)
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])


async def test_it_is_neither_taken_nor_swept_nor_in_the_way(stores: Stores) -> None:
    await wait_in_line(stores, KEY)
    await begin(stores, key("owned"), by=who("n2", "dead"))
    await stores.sessions.delete(KEY)
    await stores.sessions.delete(key("owned"))
    assert await stores.sessions.take(who(), 5, []) == ()
    assert await stores.sessions.sweep(who(incarnation="dead").incarnation, 5) == 0
    await begin(stores, beside(KEY, tenant="other"))


async def test_the_next_input_begins_another_log(stores: Stores) -> None:
    await turn(stores, KEY)
    await stores.sessions.delete(KEY)
    claimed = await begin(stores, KEY, "r2", birth="b2")
    assert (claimed.log.head.birth, claimed.claim.epoch, claimed.seq) == ("b2", 1, 2)
    assert types(claimed.log.entries) == ["session.created", "run.queued", "run.started"]


async def test_the_next_creation_begins_another_log(stores: Stores) -> None:
    await turn(stores, KEY)
    await stores.sessions.delete(KEY)
    (entry,) = await stores.sessions.append(KEY, Position(Birth("b2"), 0), [CREATED])
    assert (entry.seq, (await whole(stores, KEY)).head.birth) == (1, "b2")


async def test_what_was_deleted_does_not_come_back(stores: Stores) -> None:
    await stores.sessions.append(KEY, Position(Birth("b"), 0), [CREATED])
    await stores.sessions.delete(KEY)
    with pytest.raises(SessionNotFound):
        await stores.sessions.append(KEY, Position(Birth("b"), 0), [CREATED])
    with pytest.raises(SessionNotFound):
        await stores.sessions.submit(KEY, ask(birth="b"), None)
    assert isinstance(await stores.sessions.submit(key("other"), ask(where=key("other"), birth="b"), None), Queued)


async def test_the_old_claim_is_stale_in_the_new_log(stores: Stores) -> None:
    old = await begin(stores, KEY, by=who("n1"))
    await stores.sessions.delete(KEY)
    new = await begin(stores, KEY, "r2", who("n2"), birth="b2")
    assert old.claim.epoch == new.claim.epoch
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, old.claim, 1, 3, [answer()], Release())
    assert await whole(stores, KEY) == new.log


async def test_the_old_position_is_elsewhere_in_the_new_log(stores: Stores) -> None:
    old = await begin(stores, KEY)
    await stores.sessions.delete(KEY)
    new = await begin(stores, KEY, "r2", birth="b2")
    assert old.log.head.seq == new.log.head.seq
    with pytest.raises(HeadMoved):
        await stores.sessions.append(KEY, end(old.log), [title("x")])


async def test_the_same_run_id_begins_anew(stores: Stores) -> None:
    await turn(stores, KEY)
    await stores.sessions.delete(KEY)
    await begin(stores, KEY, "r1", birth="b2")


async def test_it_can_be_deleted_again_and_again(stores: Stores) -> None:
    for number in range(3):
        await turn(stores, KEY, f"r{number}", birth=f"b{number}")
        await stores.sessions.delete(KEY)
    for number in range(3):
        with pytest.raises(SessionNotFound):
            await stores.sessions.append(KEY, Position(Birth(f"b{number}"), 0), [CREATED])
