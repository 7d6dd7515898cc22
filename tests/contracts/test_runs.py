"""`Runs` and `Heads`: what is known of a run by its id, and of many sessions at once."""

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.records import Busy, InputWithdrawn, RunFinished, RunStatus
from app.stores.base import Position, Release, RunEntry
from app.stores.bundle import Stores
from app.testing.clock import START
from tests.contracts.scenes import ask, begin, end, key, rid, suspended, turn, who, whole

KEY = key()


async def find(stores: Stores, run: str = "r1") -> RunEntry | None:
    return await stores.runs.find(KEY.tenant, rid(run))


def expected(
    stage: Any, last: int | None = None, run: str = "r1", first: int = 2, joined: str | None = None
) -> RunEntry:
    other = rid(joined) if joined is not None else None
    return RunEntry(rid(run), KEY, ask().birth, first, last, stage, other)


async def test_an_unknown_run_is_none(stores: Stores) -> None:
    assert await find(stores) is None


async def test_a_run_that_waits_is_queued(stores: Stores) -> None:
    await stores.sessions.submit(KEY, ask(), None)
    assert await find(stores) == expected("queued")


async def test_a_run_that_has_begun_is_active_until_it_ends(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    assert await find(stores) == expected("active")
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [suspended()], Release())
    assert await find(stores) == expected("active")


async def test_a_run_begins_when_it_is_taken(stores: Stores) -> None:
    await stores.sessions.submit(KEY, ask(), None)
    await stores.sessions.take(who(), 1, [])
    assert await find(stores) == expected("active")


async def test_a_run_begins_when_it_is_handed_over(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    ended = RunFinished(at=START, run_id=rid(), status="completed")
    await stores.sessions.commit(KEY, claimed.claim, 1, 4, [ended], Release(who("heir")))
    assert await find(stores, "r2") == expected("active", None, "r2", 4)


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed", "limited"])
async def test_a_run_that_ended_tells_how_and_where(stores: Stores, status: RunStatus) -> None:
    claimed = await begin(stores, KEY)
    ended = RunFinished(at=START, run_id=rid(), status=status)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [ended], Release())
    assert await find(stores) == expected(status, 4)


async def test_a_steered_input_points_to_the_run_that_took_it(stores: Stores) -> None:
    await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), None)
    assert await find(stores, "r2") == expected("joined", 4, "r2", 4, "r1")


async def test_a_withdrawn_run_is_cancelled(stores: Stores) -> None:
    await stores.sessions.submit(KEY, ask(), None)
    await stores.sessions.append(KEY, Position(ask().birth, 2), [InputWithdrawn(at=START, run_id=rid())])
    assert await find(stores) == expected("cancelled", 3)
    assert (await whole(stores, KEY)).head.status == "idle"


async def test_another_tenant_finds_nothing(stores: Stores) -> None:
    await turn(stores, KEY)
    assert await stores.runs.find(key(tenant="other").tenant, rid()) is None


async def test_an_id_that_names_another_tenants_session_is_refused(stores: Stores) -> None:
    await turn(stores, KEY)
    theirs = key(tenant="other")
    with pytest.raises(InvalidInput):
        await stores.sessions.submit(theirs, ask(), who())
    assert await stores.runs.find(theirs.tenant, rid()) is None
    assert await stores.heads.peek([theirs]) == {}
    assert await find(stores) == expected("completed", 5)


async def test_what_is_said_of_unknown_runs_is_not_indexed(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, end(claimed.log), [InputWithdrawn(at=START, run_id=rid("strange"))])
    assert await find(stores, "strange") is None


async def test_heads_that_exist_are_given(stores: Stores) -> None:
    await begin(stores, KEY)
    await turn(stores, key("idle"))
    heads = await stores.heads.peek([KEY, key("idle"), key("absent"), KEY])
    assert {where.session: head.status for where, head in heads.items()} == {"s": "owned", "idle": "idle"}
    assert heads[KEY] == (await whole(stores, KEY)).head


async def test_no_keys_give_no_heads(stores: Stores) -> None:
    assert await stores.heads.peek([]) == {}
