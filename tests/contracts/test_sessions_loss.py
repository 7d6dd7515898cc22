"""A store that lost its last writes: whoever saw them acknowledged is told, and nobody writes under a lost claim."""

import pytest

from app.core.errors import HeadMoved, LogRegressed, StaleClaim
from app.stores.base import Attached, Queued, Release
from app.stores.bundle import Stores
from tests.contracts.backends import Backend
from tests.contracts.scenes import answer, ask, begin, end, finish, key, title, turn, wait_in_line, who, whole

KEY = key()


async def test_a_runner_learns_that_its_commits_are_lost(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    backend.mark()
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    backend.rewind()
    with pytest.raises(LogRegressed):
        await stores.sessions.commit(KEY, claimed.claim, 2, 4, [answer()])
    assert await whole(stores, KEY) == claimed.log


async def test_it_learns_so_though_others_filled_the_gap(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    backend.mark()
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    backend.rewind()
    await stores.sessions.append(KEY, end(claimed.log), [title("x"), title("y")])
    with pytest.raises(LogRegressed):
        await stores.sessions.commit(KEY, claimed.claim, 2, 4, [answer()])


async def test_a_commit_whose_reply_was_lost_with_it_is_written_again(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    backend.mark()
    first = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    backend.rewind()
    assert await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()]) == first


async def test_a_runner_that_lost_what_it_saw_of_others_learns_it(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    backend.mark()
    await stores.sessions.append(KEY, end(claimed.log), [title("x")])
    backend.rewind()
    with pytest.raises(LogRegressed):
        await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer()])


async def test_a_lost_claim_is_stale_even_where_its_epoch_is_given_again(stores: Stores, backend: Backend) -> None:
    await turn(stores, KEY, "r1")
    backend.mark()
    lost = await begin(stores, KEY, "r2", who("n2"))
    backend.rewind()
    with pytest.raises(StaleClaim):
        await finish(stores, KEY, lost)
    given = await begin(stores, KEY, "r3", who("n3"))
    assert given.claim.epoch == lost.claim.epoch
    with pytest.raises(StaleClaim):
        await finish(stores, KEY, lost)


async def test_a_lost_session_is_gone(stores: Stores, backend: Backend) -> None:
    backend.mark()
    claimed = await begin(stores, KEY)
    backend.rewind()
    with pytest.raises(StaleClaim):
        await finish(stores, KEY, claimed)
    assert await begin(stores, KEY, "r1", who("nonce of r1")) == claimed


async def test_a_lost_request_comes_in_when_it_is_repeated(stores: Stores, backend: Backend) -> None:
    await begin(stores, KEY)
    backend.mark()
    await stores.sessions.submit(KEY, ask("r2", idempotency_key="k"), None)
    backend.rewind()
    again = await stores.sessions.submit(KEY, ask("r2", idempotency_key="k"), None)
    assert isinstance(again, Queued)
    assert isinstance(await stores.sessions.submit(KEY, ask("r2", idempotency_key="k"), None), Attached)


async def test_a_lost_position_is_elsewhere(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    backend.mark()
    await stores.sessions.append(KEY, end(claimed.log), [title("x")])
    later = end(await whole(stores, KEY))
    backend.rewind()
    with pytest.raises(HeadMoved):
        await stores.sessions.append(KEY, later, [title("y")])


async def test_a_session_that_is_ready_again_is_taken_again(stores: Stores, backend: Backend) -> None:
    await wait_in_line(stores, KEY)
    backend.mark()
    (lost,) = await stores.sessions.take(who("n1"), 1, [])
    backend.rewind()
    (taken,) = await stores.sessions.take(who("n2"), 1, [])
    assert taken.claim.epoch == lost.claim.epoch
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, lost.claim, 1, 3, [], Release())


async def test_a_deletion_that_was_lost_leaves_the_session(stores: Stores, backend: Backend) -> None:
    await turn(stores, KEY)
    before = await whole(stores, KEY)
    backend.mark()
    await stores.sessions.delete(KEY)
    backend.rewind()
    assert await whole(stores, KEY) == before
    assert await stores.runs.find(KEY.tenant, ask().run_id) is not None
