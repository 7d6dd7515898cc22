"""What sessions say of blobs is a hint; their own sets are the truth, and 24 hours lie between."""

import asyncio
from hashlib import sha256

import pytest

from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.redis.blobs import NAMES_PER_LOOK, BlobNames, RedisBlobs
from app.stores.redis.clock import stamp
from app.stores.redis.connection import Connection
from app.stores.redis.names import session_blobs
from app.testing.clock import ManualClock
from tests.contracts.scenes import key

T = TenantId("t/é {x}")
ONE, TWO = key("one", tenant=T), key("two", tenant=T)


class World:
    """Blobs, their names, and the sets that the sessions' scripts would keep."""

    def __init__(self, redis: Connection) -> None:
        self.clock = ManualClock()
        now = stamp(lambda: self.clock.now().timestamp())
        self.redis = redis
        self.blobs, self.names = RedisBlobs(redis, now), BlobNames(redis, now)

    async def put(self, data: bytes = b"data") -> BlobRef:
        return await self.blobs.put(T, data, "text/plain")

    async def write(self, session: str, ref: BlobRef) -> None:
        """The session's log names the blob: what a write does after it told the blob."""
        await self.redis.command("SADD", session_blobs(key(session, tenant=T)), ref.sha256)

    async def erase(self, session: str) -> None:
        """The session is gone: what a deletion does before it tells the blobs."""
        await self.redis.command("DEL", session_blobs(key(session, tenant=T)))

    async def collect_later(self, seconds: float = BLOB_GRACE_SECONDS, limit: int = 10) -> int:
        self.clock.advance(seconds)
        return await self.blobs.collect(limit)

    async def is_there(self, ref: BlobRef) -> bool:
        try:
            return bool(await self.blobs.get(T, ref.sha256))
        except BlobNotFound:
            return False


@pytest.fixture
def world(redis: Connection) -> World:
    return World(redis)


async def test_what_a_session_holds_stays(world: World) -> None:
    ref = await world.put()
    await world.names.add(ONE, [ref.sha256])
    await world.write("one", ref)
    assert [await world.collect_later() for _ in range(3)] == [0, 0, 0]
    assert await world.is_there(ref)


async def test_a_write_that_takes_its_time_keeps_its_blob(world: World) -> None:
    ref = await world.put()
    world.clock.advance(BLOB_GRACE_SECONDS)
    await world.names.add(ONE, [ref.sha256])
    assert await world.collect_later(60) == 0
    await world.write("one", ref)
    assert await world.collect_later() == 0
    assert await world.is_there(ref)


async def test_a_blob_goes_a_day_after_its_last_name(world: World) -> None:
    ref = await world.put()
    for one, session in ((ONE, "one"), (TWO, "two")):
        await world.names.add(one, [ref.sha256])
        await world.write(session, ref)
    await world.erase("one")
    await world.names.remove(ONE, [ref.sha256])
    assert await world.collect_later() == 0
    await world.erase("two")
    await world.names.remove(TWO, [ref.sha256])
    assert await world.collect_later(BLOB_GRACE_SECONDS - 1) == 0
    assert (await world.collect_later(1), await world.is_there(ref)) == (1, False)


async def test_a_deletion_cut_short_costs_a_day_and_no_more(world: World) -> None:
    ref = await world.put()
    await world.names.add(ONE, [ref.sha256])
    await world.write("one", ref)
    await world.erase("one")
    assert [await world.collect_later() for _ in range(2)] == [0, 1]


async def test_a_deletion_cut_short_may_have_been_a_moment_ago(world: World) -> None:
    ref = await world.put()
    await world.names.add(ONE, [ref.sha256])
    assert await world.collect_later() == 0
    assert [await world.collect_later(seconds) for seconds in (BLOB_GRACE_SECONDS - 1, 1)] == [0, 1]


async def test_a_write_that_failed_keeps_nothing_for_ever(world: World) -> None:
    ref = await world.put()
    await world.names.add(ONE, [ref.sha256])
    assert [await world.collect_later() for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("added", ["before the deletion", "after the deletion", "after the release"])
async def test_a_session_created_again_meanwhile_keeps_its_blob(world: World, added: str) -> None:
    ref = await world.put()
    await world.names.add(ONE, [ref.sha256])
    await world.write("one", ref)
    for moment in ("before the deletion", "after the deletion", "after the release"):
        if moment == "after the deletion":
            await world.erase("one")
        if moment == "after the release":
            await world.names.remove(ONE, [ref.sha256])
        if moment == added:
            await world.names.add(ONE, [ref.sha256])
    await world.write("one", ref)
    assert [await world.collect_later() for _ in range(3)] == [0, 0, 0]
    assert await world.is_there(ref)


async def test_a_blob_put_again_after_it_was_looked_at_stays(world: World) -> None:
    ref = await world.put()
    world.clock.advance(BLOB_GRACE_SECONDS)
    aged = await world.blobs._aged()
    await world.put()
    assert await world.blobs._settle(aged) == 0
    assert await world.is_there(ref)


async def test_a_blob_named_after_it_was_looked_at_stays(world: World) -> None:
    ref = await world.put()
    world.clock.advance(BLOB_GRACE_SECONDS)
    aged = await world.blobs._aged()
    assert len(aged) == 1
    await world.names.add(ONE, [ref.sha256])
    assert await world.blobs._settle(aged) == 0
    assert await world.is_there(ref)


async def test_of_collections_at_once_one_counts_a_blob(world: World) -> None:
    for number in range(5):
        await world.put(b"%d" % number)
    world.clock.advance(BLOB_GRACE_SECONDS)
    assert sum(await asyncio.gather(*(world.blobs.collect(10) for _ in range(4)))) == 5


async def test_named_blobs_do_not_stand_in_the_way_of_others(world: World) -> None:
    for number in range(20):
        ref = await world.put(b"named %d" % number)
        await world.names.add(ONE, [ref.sha256])
        await world.write("one", ref)
    world.clock.advance(1)
    unnamed = await world.put()
    assert await world.collect_later(limit=1) == 1
    assert not await world.is_there(unnamed)


async def test_a_blob_of_very_many_names_goes_in_the_end(world: World) -> None:
    ref = await world.put()
    sessions = [key(f"s{number}", tenant=T) for number in range(2 * NAMES_PER_LOOK + 1)]
    for session in sessions:
        await world.names.add(session, [ref.sha256])
        await world.names.remove(session, [ref.sha256])
    assert await world.collect_later() == 0
    assert [await world.blobs.collect(1) for _ in range(2)] == [0, 1]


async def test_a_name_for_what_never_comes_is_forgotten(world: World) -> None:
    absent = sha256(b"never").hexdigest()
    await world.names.add(ONE, [absent])
    await world.names.remove(ONE, [absent])
    assert await world.collect_later() == 0
    assert await world.redis.command("DBSIZE") == 0


async def test_who_never_named_a_blob_releases_nothing(world: World) -> None:
    ref = await world.put()
    world.clock.advance(BLOB_GRACE_SECONDS - 1)
    await world.names.remove(ONE, [ref.sha256])
    await world.names.add(ONE, [])
    assert await world.collect_later(1) == 1


async def test_the_servers_clock_decides(redis: Connection) -> None:
    blobs = RedisBlobs(redis, stamp(None))
    ref = await blobs.put(T, b"data", "text/plain")
    assert await blobs.collect(10) == 0
    assert await blobs.get(T, ref.sha256) == b"data"
