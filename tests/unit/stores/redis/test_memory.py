"""A Redis that is full: it takes nothing in, says so, and can be relieved; whoever lives is not taken for dead."""

from collections.abc import AsyncGenerator

import pytest

from app.core.errors import BlobNotFound, SessionNotFound, StoreUnavailable
from app.core.ids import Incarnation, TenantId
from app.stores.base import BLOB_GRACE_SECONDS, Position, Release
from app.stores.bundle import Stores
from app.stores.redis.stores import open_redis
from app.testing.clock import ManualClock
from tests.contracts.scenes import answer, ask, begin, done, end, key, title, turn, wait_in_line, who, whole
from tests.contracts.test_blobs import image, said
from tests.support.services.redis import RedisServer, running

KEY, IDLE = key(), key("idle")
T = TenantId("t")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def full(clock: ManualClock) -> AsyncGenerator[tuple[Stores, RedisServer]]:
    """Gives a server of the test's own that can be filled."""
    with running() as server:
        async with open_redis(server.url(), clock, now=lambda: clock.now().timestamp()) as stores:
            yield stores, server


def fill(server: RedisServer) -> None:
    """The server uses more memory than it may."""
    server.ask("CONFIG", "SET", "maxmemory", 1)


async def test_what_is_to_be_kept_is_refused_as_a_whole(full: tuple[Stores, RedisServer]) -> None:
    stores, server = full
    claimed = await begin(stores, KEY)
    await wait_in_line(stores, IDLE)
    before = [await whole(stores, where) for where in (KEY, IDLE)]
    fill(server)
    for call in (
        stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer(), done()], Release()),
        stores.sessions.submit(KEY, ask("r2"), None),
        stores.sessions.submit(key("new"), ask("r1", where=key("new")), who()),
        stores.sessions.append(KEY, end(before[0]), [title("x")]),
        stores.sessions.take(who("n2", "j"), 1, []),
        stores.blobs.put(T, b"data", "image/png"),
        stores.keyvalue.put(T, "k", b"v"),
    ):
        with pytest.raises(StoreUnavailable, match="OOM"):
            await call
    assert [await whole(stores, where) for where in (KEY, IDLE)] == before
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert (await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer(), done()], Release())).seq == 5


async def test_it_can_be_relieved(full: tuple[Stores, RedisServer], clock: ManualClock) -> None:
    stores, server = full
    await turn(stores, IDLE)
    named = [await stores.blobs.put(T, data, "image/png") for data in (b"1", b"2")]
    await stores.sessions.append(KEY, Position(ask().birth, 0), [said(image(named[0]))])
    await stores.sessions.append(key("other"), Position(ask().birth, 0), [said(image(named[1]))])
    await stores.keyvalue.put(T, "k", b"v")
    fill(server)
    for where in (IDLE, KEY):
        await stores.sessions.delete(where)
        with pytest.raises(SessionNotFound):
            await stores.sessions.read(where)
    assert await stores.keyvalue.delete(T, "k")
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 1
    with pytest.raises(BlobNotFound):
        await stores.blobs.get(T, named[0].sha256)
    assert await stores.blobs.get(T, named[1].sha256) == b"2"


async def test_nobody_is_taken_for_dead_because_of_it(full: tuple[Stores, RedisServer]) -> None:
    stores, server = full
    one, other = Incarnation("one"), Incarnation("other")
    for incarnation in (one, other):
        await stores.replicas.beat(incarnation)
    await begin(stores, KEY, by=who("n", other))
    fill(server)
    await stores.replicas.beat(one)
    beats = {beat.incarnation: beat for beat in await stores.replicas.live()}
    assert beats[one].count == 2
    assert await stores.replicas.bury(beats[other])
    assert await stores.sessions.sweep(other, 10) == 1
    await stores.replicas.forget(other)
    assert await stores.replicas.buried() == ()
