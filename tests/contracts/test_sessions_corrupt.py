"""What cannot be read fails the call, and is never replaced by a fresh state."""

import pytest

from app.core.errors import StoreCorrupt
from app.core.state import FOLD_VERSION, AgentState, encode_state
from app.stores.base import Checkpoint, Release
from app.stores.bundle import Stores
from tests.contracts.backends import Backend, Footprint
from tests.contracts.scenes import answer, ask, begin, done, key, turn, who, whole

KEY = key()


async def spoiled_checkpoint(stores: Stores, backend: Backend) -> Footprint:
    """Plays a turn with a checkpoint, which is then damaged."""
    claimed = await begin(stores, KEY)
    checkpoint = Checkpoint(5, FOLD_VERSION, encode_state(AgentState(seq=5)))
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer(), done()], Release(), checkpoint)
    backend.spoil_checkpoints(KEY)
    return backend.footprint(KEY)


async def test_trap_load_error_never_starts_a_fresh_state(stores: Stores, backend: Backend) -> None:
    """A load error started a fresh state, and the next save replaced the real conversation."""
    await turn(stores, KEY)
    backend.spoil_entry(KEY, 4)
    before = backend.footprint(KEY)
    with pytest.raises(StoreCorrupt):
        await stores.sessions.submit(KEY, ask("r2"), who("n2"))
    with pytest.raises(StoreCorrupt):
        await stores.sessions.read(KEY)
    assert backend.footprint(KEY) == before


async def test_trap_load_error_never_starts_a_fresh_state_from_a_checkpoint(stores: Stores, backend: Backend) -> None:
    """A checkpoint that could not be read was taken for an empty one."""
    before = await spoiled_checkpoint(stores, backend)
    log = await stores.sessions.read(KEY)
    with pytest.raises(StoreCorrupt):
        log.state()
    assert backend.footprint(KEY) == before


async def test_a_missing_record_is_noticed(stores: Stores, backend: Backend) -> None:
    await turn(stores, KEY)
    backend.spoil_entry(KEY, 5, None)
    log = await stores.sessions.read(KEY)
    with pytest.raises(StoreCorrupt):
        log.state()


async def test_a_session_that_cannot_be_read_is_not_taken(stores: Stores, backend: Backend) -> None:
    await stores.sessions.submit(KEY, ask(), None)
    backend.spoil_entry(KEY, 2)
    with pytest.raises(StoreCorrupt):
        await stores.sessions.take(who(), 1, [])
    assert (await stores.heads.peek([KEY]))[KEY].status == "ready"


async def test_a_session_that_cannot_be_read_holds_no_other_up(stores: Stores, backend: Backend) -> None:
    await stores.sessions.submit(KEY, ask(), None)
    await stores.sessions.submit(key("other"), ask(where=key("other")), None)
    backend.spoil_entry(KEY, 2)
    (taken,) = await stores.sessions.take(who(), 2, [])
    assert taken.key == key("other")


async def test_other_sessions_are_served_all_the_same(stores: Stores, backend: Backend) -> None:
    await turn(stores, KEY)
    backend.spoil_entry(KEY, 4)
    await turn(stores, key("other"))
    assert (await whole(stores, key("other"))).head.seq == 5
