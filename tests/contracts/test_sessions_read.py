"""`read`: a log from a place on, or as much as its state needs; and the checkpoints behind it."""

from collections.abc import AsyncGenerator

import pytest

from app.core.errors import SessionNotFound, StaleClaim
from app.core.ids import Birth
from app.core.messages import TextPart
from app.core.records import Entry, RunQueued
from app.core.state import FOLD_VERSION, AgentState, encode_state
from app.stores.base import CHECKPOINTS_KEPT, Checkpoint, Claimed, Log, Position, Release
from app.stores.bundle import Stores
from app.testing.clock import ManualClock
from tests.contracts.backends import Backend
from tests.contracts.scenes import answer, ask, begin, done, finish, key, title, turn, who, whole

KEY = key()


def at(seq: int, name: str = "", version: int = FOLD_VERSION) -> Checkpoint:
    return Checkpoint(seq, version, encode_state(AgentState(seq=seq, title=name)))


async def save(
    stores: Stores, claimed: Claimed, number: int, seen: int, checkpoint: Checkpoint, count: int = 1
) -> None:
    """Commits answers, with a checkpoint."""
    answers = [answer() for _ in range(count)]
    await stores.sessions.commit(KEY, claimed.claim, number, seen, answers, checkpoint=checkpoint)


def seqs(entries: tuple[Entry, ...]) -> list[int]:
    return [entry.seq for entry in entries]


@pytest.mark.parametrize("after", [None, 0, 5])
async def test_an_absent_session_is_not_found(stores: Stores, after: int | None) -> None:
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY, after)


async def test_entries_come_in_pages(stores: Stores) -> None:
    await turn(stores, KEY)
    pages = [await stores.sessions.read(KEY, after, limit=2) for after in (0, 2, 4, 5)]
    assert [seqs(page.entries) for page in pages] == [[1, 2], [3, 4], [5], []]
    assert {page.head.seq for page in pages} == {5}
    assert all(page.checkpoint is None for page in pages)


@pytest.mark.parametrize("after", [6, 2**31, 2**100])
async def test_there_is_nothing_beyond_the_log(stores: Stores, after: int) -> None:
    await turn(stores, KEY)
    assert (await stores.sessions.read(KEY, after)).entries == ()


async def test_a_place_before_the_log_is_its_beginning(stores: Stores) -> None:
    await turn(stores, KEY)
    assert seqs((await stores.sessions.read(KEY, -7, limit=2)).entries) == [1, 2]


async def test_without_a_checkpoint_the_whole_log_is_read(stores: Stores) -> None:
    await turn(stores, KEY)
    log = await stores.sessions.read(KEY, limit=2)
    assert (seqs(log.entries), log.checkpoint) == ([1, 2, 3, 4, 5], None)
    assert log.state().seq == 5


async def test_with_a_checkpoint_only_the_tail_is_read(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await save(stores, claimed, 1, 3, at(4, "checkpoint"))
    await stores.sessions.commit(KEY, claimed.claim, 2, 4, [done()], Release())
    for log in (await stores.sessions.read(KEY), (await begin(stores, KEY, "r2")).log):
        assert log.checkpoint == at(4, "checkpoint")
        assert seqs(log.entries) == list(range(5, log.head.seq + 1))
        assert log.state().title == "checkpoint"


async def test_the_newest_checkpoint_serves(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    for number in range(1, 5):
        await save(stores, claimed, number, 2 + number, at(3 + number))
    log = await stores.sessions.read(KEY)
    assert (log.checkpoint, log.entries) == (at(7), ())


@pytest.mark.parametrize(("seen", "seq", "count"), [(3, 5, 2), (4, 5, 1)])
async def test_a_checkpoint_is_kept_only_where_nothing_came_between(
    stores: Stores, seen: int, seq: int, count: int
) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, Position(Birth("b"), 3), [title("between")])
    await save(stores, claimed, 1, seen, at(seq), count)
    assert ((await stores.sessions.read(KEY)).checkpoint is not None) == (seen == 4)


@pytest.mark.parametrize("seq", [3, 5, 9])
async def test_a_checkpoint_of_another_place_is_not_kept(stores: Stores, seq: int) -> None:
    claimed = await begin(stores, KEY)
    await save(stores, claimed, 1, 3, at(seq))
    assert (await stores.sessions.read(KEY)).checkpoint is None


async def test_a_checkpoint_goes_with_the_records_before_a_handover(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    release = Release(who("heir"))
    await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer(), done()], release, at(6))
    log = await stores.sessions.read(KEY)
    assert (log.checkpoint, seqs(log.entries)) == (at(6), [7])


async def test_a_commit_that_writes_nothing_may_leave_a_checkpoint(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [], Release(), at(3))
    assert (await stores.sessions.read(KEY)).checkpoint == at(3)


async def test_the_checkpoint_of_a_refused_commit_is_not_kept(stores: Stores, backend: Backend) -> None:
    claimed = await begin(stores, KEY)
    await finish(stores, KEY, claimed)
    with pytest.raises(StaleClaim):
        await save(stores, claimed, 2, 5, at(6))
    assert backend.footprint(KEY).checkpoints == ()


async def test_trap_storage_grows_without_bound_in_checkpoints(stores: Stores, backend: Backend) -> None:
    """Every checkpoint was kept: 135 GB for a dozen threads."""
    claimed = await begin(stores, KEY)
    for number in range(1, 10):
        await save(stores, claimed, number, 2 + number, at(3 + number))
    assert backend.footprint(KEY).checkpoints == tuple(range(13 - CHECKPOINTS_KEPT, 13))


async def test_a_checkpoint_of_another_fold_version_is_ignored(backend: Backend, clock: ManualClock) -> None:
    async with backend.open(clock) as stores:
        claimed = await begin(stores, KEY)
        await save(stores, claimed, 1, 3, at(4, "fold 1"))
        await stores.sessions.commit(KEY, claimed.claim, 2, 4, [done()], Release())
    async with backend.open(clock, fold_version=FOLD_VERSION + 1) as stores:
        log = await stores.sessions.read(KEY)
        assert (log.checkpoint, seqs(log.entries)) == (None, [1, 2, 3, 4, 5])
        claimed = await begin(stores, KEY, "r2")
        assert claimed.log.state().title == ""
        newer = at(8, "fold 2", FOLD_VERSION + 1)
        await stores.sessions.commit(KEY, claimed.claim, 1, 7, [answer()], checkpoint=newer)
        assert (await stores.sessions.read(KEY)).checkpoint == newer
    async with backend.open(clock) as stores:
        assert (await stores.sessions.read(KEY)).checkpoint == at(4, "fold 1")


async def test_what_is_read_does_not_change_later(stores: Stores) -> None:
    claimed = await begin(stores, KEY, metadata={"colour": "blue"})
    queued = claimed.log.entries[1].record
    assert isinstance(queued, RunQueued)
    queued.metadata["colour"] = "changed by a caller"
    assert (await whole(stores, KEY)).entries[1].body == claimed.log.entries[1].body
    again = (await whole(stores, KEY)).entries[1].record
    assert isinstance(again, RunQueued)
    assert again.metadata == {"colour": "blue"}


async def test_any_text_comes_back_as_it_was(stores: Stores) -> None:
    text = "a\x00b \u2028 \U0001f600 \ufffd é ' \" -- %_\\"
    where = key(f"s {text}", tenant=f"t {text}", user=f"u {text}")
    claimed = await begin(stores, where, text=text)
    assert (await whole(stores, where)).entries == claimed.log.entries
    message = claimed.log.state().messages[0]
    assert message.parts == (TextPart(text=text),)


@pytest.fixture
async def reopened(backend: Backend, clock: ManualClock) -> AsyncGenerator[tuple[Log, Stores], None]:
    """Gives what was read before a restart, and the stores after it."""
    async with backend.open(clock) as stores:
        claimed = await begin(stores, KEY)
        await save(stores, claimed, 1, 3, at(4))
        before = await whole(stores, KEY)
    async with backend.open(clock) as stores:
        yield before, stores


async def test_a_restart_changes_nothing(reopened: tuple[Log, Stores]) -> None:
    before, stores = reopened
    assert await whole(stores, KEY) == before
    assert (await stores.sessions.read(KEY)).checkpoint == at(4)
