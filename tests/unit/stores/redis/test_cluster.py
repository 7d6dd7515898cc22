"""A real cluster of three: every port works on it, and slots that move or servers that die are coped with."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest
from redis.crc import key_slot

from app.core.errors import ConfigError, HeadMoved, ReplicaDead, StoreUnavailable
from app.core.ids import Incarnation, TenantId
from app.core.keys import SessionKey
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.redis.addresses import parse
from app.stores.redis.blobs import BlobNames, RedisBlobs
from app.stores.redis.clock import stamp
from app.stores.redis.cluster import Cluster
from app.stores.redis.connection import Connection, open_client
from app.stores.redis.dialing import Dialer
from app.stores.redis.keyvalue import RedisKeyValue
from app.stores.redis.names import session_blobs
from app.stores.redis.replicas import RedisReplicas
from app.testing.clock import ManualClock
from tests.contracts.scenes import key
from tests.support.services.redis import RedisCluster, RedisServer, running_cluster

T = TenantId("t")
EVERYWHERE = [f"k{number}" for number in range(60)]
"""Keys on all three servers."""


@pytest.fixture(scope="module")
def shared_cluster() -> Generator[RedisCluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: RedisCluster) -> RedisCluster:
    shared_cluster.flush()
    return shared_cluster


@pytest.fixture
async def redis(cluster: RedisCluster) -> AsyncGenerator[Connection, None]:
    async with open_client(cluster.url) as connection:
        yield connection


def holder(cluster: RedisCluster, slot: int) -> RedisServer:
    """Gives the server that has the slot."""
    for first, last, primary, *_ in cluster.nodes[0].ask("CLUSTER SLOTS"):
        if first <= slot <= last:
            return next(node for node in cluster.nodes if node.port == primary[1])
    raise AssertionError(f"nobody has slot {slot}")


async def write_everywhere(redis: Connection) -> bool:
    """Writes to every server, in one call; says whether each reply was the one to its command."""
    replies = await redis.commands([("SET", one, one, "GET") for one in EVERYWHERE])
    read = await redis.commands([("GET", one) for one in EVERYWHERE])
    return len(replies) == len(EVERYWHERE) and read == [one.encode() for one in EVERYWHERE]


async def test_replies_come_in_order_whoever_gave_them(redis: Connection) -> None:
    assert await write_everywhere(redis)


async def test_trap_scripts_of_several_keys_failed_on_a_cluster(redis: Connection) -> None:
    """Scripts named keys without a common hash tag, and failed with CROSSSLOT on a cluster."""
    one, clock = Incarnation("one"), ManualClock()
    replicas, values = RedisReplicas(redis, stamp(lambda: clock.now().timestamp())), RedisKeyValue(redis)
    await replicas.beat(one)
    (beat,) = await replicas.live()
    assert await replicas.bury(beat)
    assert await replicas.buried() == (one,)
    await replicas.forget(one)
    with pytest.raises(ReplicaDead):
        await replicas.beat(one)
    version = await values.put(T, "a", b"\xff")
    with pytest.raises(HeadMoved):
        await values.put_if_version(T, "a", b"", version + 1)
    assert await values.search(T, "", "", 10) == (("a", version),)
    assert await values.delete(T, "a")


async def test_blobs_and_the_sessions_that_name_them_lie_apart(redis: Connection) -> None:
    clock = ManualClock()
    now = stamp(lambda: clock.now().timestamp())
    blobs, names = RedisBlobs(redis, now), BlobNames(redis, now)
    refs = [await blobs.put(T, b"%d" % number, "text/plain") for number in range(12)]
    sessions: list[SessionKey] = [key(f"s{number}", tenant=T) for number in range(12)]
    for ref, session in zip(refs, sessions, strict=True):
        await names.add(session, [ref.sha256])
        await redis.command("SADD", session_blobs(session), ref.sha256)
    clock.advance(BLOB_GRACE_SECONDS)
    assert await blobs.collect(100) == 0
    for ref, session in zip(refs[:6], sessions[:6], strict=True):
        await redis.command("DEL", session_blobs(session))
        await names.remove(session, [ref.sha256])
    clock.advance(BLOB_GRACE_SECONDS)
    assert await blobs.collect(100) == 6


async def test_a_slot_that_moved_is_followed(cluster: RedisCluster, redis: Connection) -> None:
    assert await write_everywhere(redis)
    slot = key_slot(b"moving")
    source = holder(cluster, slot)
    target = next(node for node in cluster.nodes if node is not source)
    cluster.move_slot(slot, source, target)
    try:
        await redis.commands([("SET", "moving", "x"), *(("SET", one, "y") for one in EVERYWHERE)])
        assert target.ask("GET", "moving") == b"x"
        assert await write_everywhere(redis)
        target.ask("DEL", "moving")
    finally:
        cluster.move_slot(slot, target, source)


async def test_a_slot_on_the_move_is_asked_for_where_it_goes(cluster: RedisCluster, redis: Connection) -> None:
    slot = key_slot(b"moving")
    source = holder(cluster, slot)
    target = next(node for node in cluster.nodes if node is not source)
    target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.ask("CLUSTER MYID"))
    source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.ask("CLUSTER MYID"))
    try:
        asked = await asyncio.gather(*(redis.commands([("INCR", "moving"), ("ECHO", "x")]) for _ in range(20)))
        assert sorted(number for number, _ in asked) == list(range(1, 21))
    finally:
        cluster.move_slot(slot, source, target)
    assert target.ask("GET", "moving") == b"20"
    assert await redis.command("INCR", "moving") == 21
    target.ask("DEL", "moving")
    cluster.move_slot(slot, target, source)


async def test_a_lost_server_is_unavailable_and_then_back() -> None:
    with running_cluster() as cluster:
        async with open_client(cluster.url) as redis:
            assert await write_everywhere(redis)
            cluster.nodes[0].kill()
            with pytest.raises(StoreUnavailable):
                await write_everywhere(redis)
            cluster.nodes[0].start()
            await works_again(redis)


async def works_again(redis: Connection) -> None:
    """Returns once everything can be written."""
    async with asyncio.timeout(15):
        while True:
            try:
                assert await write_everywhere(redis)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_silent_server_holds_nobody_up_for_ever() -> None:
    with running_cluster() as cluster:
        async with open_client(cluster.url, timeout=0.5) as redis:
            assert await write_everywhere(redis)
            cluster.nodes[0].pause()
            try:
                with pytest.raises(StoreUnavailable):
                    await write_everywhere(redis)
            finally:
                cluster.nodes[0].resume()
            await works_again(redis)


async def test_a_cluster_is_found_by_any_of_its_servers(cluster: RedisCluster) -> None:
    last = cluster.nodes[-1]
    async with open_client(f"redis+cluster://127.0.0.1:1,{last.place}") as redis:
        assert await write_everywhere(redis)


async def test_a_silent_server_is_not_the_only_one_asked_for_the_map(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stores.redis.cluster.CONNECT_SECONDS", 0.2)
    address = parse(cluster.url)
    routes = Cluster(Dialer(address), address.hosts)
    cluster.nodes[0].pause()
    try:
        async with asyncio.timeout(5):
            await routes._know()
    finally:
        cluster.nodes[0].resume()
        await routes.close()
    assert {host[1] for host in routes._slots if host is not None} == {node.port for node in cluster.nodes}


async def test_a_cluster_needs_its_scheme(cluster: RedisCluster, server: RedisServer) -> None:
    with pytest.raises(ConfigError, match=r"redis\+cluster://"):
        async with open_client(cluster.nodes[0].url()):
            pass
    with pytest.raises(ConfigError, match="cluster support disabled"):
        async with open_client(f"redis+cluster://{server.place}"):
            pass
