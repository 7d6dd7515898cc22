"""Sessions in Redis as they lie there: all under one hash tag, nothing left behind, nothing guessed."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.core.errors import StoreCorrupt
from app.stores.bundle import Stores
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.sessions import RedisSessions
from app.testing.clock import ManualClock
from tests.contracts.backends import RedisBackend
from tests.contracts.scenes import HERE, ask, begin, rid, turn, who

MONTH = 30 * 24 * 3600


@pytest.fixture
async def stores() -> AsyncGenerator[Stores, None]:
    async with RedisBackend().open(ManualClock()) as opened:
        yield opened


def redis_of(stores: Stores) -> Connection:
    assert isinstance(stores.sessions, RedisSessions)
    return stores.sessions._reader._redis


async def names(stores: Stores) -> list[str]:
    found: Any = await redis_of(stores).command("KEYS", "*")
    return sorted(name.decode() for name in found)


async def test_trap_multi_key_lua_without_hash_tags(stores: Stores) -> None:
    """Scripts whose keys had no common hash tag failed on a cluster."""
    await begin(stores, HERE, idempotency_key="k")
    await stores.sessions.take(who("n2"), 1, [])
    apart = [name for name in await names(stores) if not name.startswith(f"baton:{{{HERE.partition()}}}:")]
    assert apart == sorted(layout(HERE).lists)


async def test_of_a_deleted_session_only_the_hash_of_its_key_is_left(stores: Stores) -> None:
    await turn(stores, HERE, idempotency_key="k")
    await begin(stores, HERE, "r2")
    await stores.sessions.delete(HERE)
    tombstone = layout(HERE).tombstone("b")
    assert await names(stores) == [tombstone]
    assert HERE.encode() not in tombstone
    assert MONTH - 10 < await redis_of(stores).command("TTL", tombstone) <= MONTH


@pytest.mark.parametrize("garbage", [b"\xc1", b"\xa1x", b"\x80"])
async def test_a_head_that_cannot_be_read_fails_every_call(stores: Stores, garbage: bytes) -> None:
    await turn(stores, HERE)
    before = await names(stores)
    await redis_of(stores).command("SET", layout(HERE).keys[0], garbage)
    for call in (
        stores.sessions.submit(HERE, ask("r2"), who()),
        stores.sessions.read(HERE),
        stores.sessions.delete(HERE),
        stores.heads.peek([HERE]),
    ):
        with pytest.raises(StoreCorrupt):
            await call
    assert await names(stores) == before


async def test_a_row_that_cannot_be_read_is_no_run(stores: Stores) -> None:
    await turn(stores, HERE)
    await redis_of(stores).command("HSET", layout(HERE).keys[5], rid(), "nonsense")
    with pytest.raises(StoreCorrupt):
        await stores.runs.find(HERE.tenant, rid())
