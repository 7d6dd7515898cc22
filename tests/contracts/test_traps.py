"""What stores of this kind get wrong today, and this one must not. Others stand beside the port they concern."""

import asyncio
from itertools import product

import pytest

from app.core.errors import HeadMoved, StaleClaim
from app.core.keys import SessionKey
from app.stores.bundle import Stores
from tests.contracts.scenes import answer, begin, end, key, rid, title, types, who, whole


async def test_trap_full_replacement_save_loses_a_turn(stores: Stores) -> None:
    """Two replicas saved the whole session, and the later save removed the earlier one's turn."""
    paused = await begin(stores, key(), by=who("n1", "paused"))
    await stores.sessions.sweep(who("n1", "paused").incarnation, 1)
    (taken,) = await stores.sessions.take(who("n2", "other"), 1, [])
    outcomes = await asyncio.gather(
        stores.sessions.commit(key(), paused.claim, 1, 3, [answer(text="from the paused one")]),
        stores.sessions.commit(key(), taken.claim, 1, 3, [answer(text="from its successor")]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], StaleClaim)
    log = await whole(stores, key())
    assert log.entries[:3] == paused.log.entries
    assert types(log.entries[3:]) == ["message.appended"]
    assert b"successor" in log.entries[3].body


async def test_trap_full_replacement_save_loses_a_turn_of_an_outsider(stores: Stores) -> None:
    """Somebody who had read the session earlier wrote over what came since."""
    claimed = await begin(stores, key())
    await stores.sessions.commit(key(), claimed.claim, 1, 3, [answer()])
    with pytest.raises(HeadMoved):
        await stores.sessions.append(key(), end(claimed.log), [title("x")])
    assert types((await whole(stores, key())).entries[3:]) == ["message.appended"]


async def test_trap_requests_without_ids_shared_one_slot(stores: Stores) -> None:
    """Requests without a user or session were all kept under `None:None`."""
    parts = ("", "None", "_default", "a", "a/", "/a", "a:b", "a%2F", "%", "\x00", "é")
    keys = [key(session, user=user) for user, session in product(parts, parts)]
    assert len({one.encode() for one in keys}) == len({one.digest() for one in keys}) == len(keys)
    assert [SessionKey.decode(one.encode()) for one in keys] == keys
    await asyncio.gather(*(begin(stores, one) for one in keys))
    heads = await stores.heads.peek(keys)
    assert [heads[one].active for one in keys] == [rid(where=one) for one in keys]
