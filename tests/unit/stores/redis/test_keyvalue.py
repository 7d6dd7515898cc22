import asyncio

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.redis.connection import Connection
from app.stores.redis.keyvalue import RedisKeyValue
from app.stores.redis.names import values

T = TenantId("t")
HOSTILE = (TenantId("a}"), TenantId("{a"), TenantId("a/data"), TenantId("a:data"), TenantId(""), TenantId("é"))


async def test_tenants_of_any_name_stay_apart(redis: Connection) -> None:
    ports = RedisKeyValue(redis)
    for tenant in HOSTILE:
        await ports.put(tenant, "k", tenant.encode())
    for tenant in HOSTILE:
        assert [key for key, _ in await ports.search(tenant, "", "", 10)] == ["k"]
        assert (value := await ports.get(tenant, "k")) is not None
        assert value.data == tenant.encode()


async def test_of_many_at_once_one_is_put_per_version(redis: Connection) -> None:
    ports = RedisKeyValue(redis)
    version = 0
    for _ in range(5):
        attempts = (ports.put_if_version(T, "k", b"%d" % number, version) for number in range(20))
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        (version,) = [outcome for outcome in outcomes if not isinstance(outcome, HeadMoved)]
        assert isinstance(version, int)


async def test_a_page_may_be_large(redis: Connection) -> None:
    ports = RedisKeyValue(redis)
    keys = [f"{number:05}" for number in range(9000)]
    await redis.commands([("ZADD", values(T, "keys"), 0, key) for key in keys])
    await redis.commands([("HSET", values(T, "versions"), key, 1) for key in keys])
    assert await ports.search(T, "", "", 10_000) == tuple((key, 1) for key in keys)


async def test_versions_do_not_run_out_of_digits(redis: Connection) -> None:
    ports = RedisKeyValue(redis)
    await redis.command("SET", values(T, "version"), 2**52)
    version = await ports.put(T, "k", b"x")
    assert version == 2**52 + 1
    assert await ports.put_if_version(T, "k", b"y", version) == version + 1
    assert await ports.search(T, "", "", 1) == (("k", version + 1),)


async def test_a_search_reads_no_value(redis: Connection) -> None:
    ports = RedisKeyValue(redis)
    await ports.put(T, "k", b"x")
    await redis.command("DEL", values(T, "data"))
    assert [key for key, _ in await ports.search(T, "", "", 10)] == ["k"]
