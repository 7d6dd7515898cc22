"""A primary, its replica and a sentinel: after a failover the writes go to the new primary."""

import asyncio
from collections.abc import Generator

import pytest

from app.core.errors import ConfigError, StoreUnavailable
from app.stores.redis.addresses import parse
from app.stores.redis.connection import Connection, open_client
from app.stores.redis.dialing import Dialer
from app.stores.redis.sentinels import ASK_SECONDS, Sentinels
from tests.support.services.binaries import free_port
from tests.support.services.redis import RedisSentinels, running_sentinels

DEADLINE = 10.0


@pytest.fixture(scope="module")
def sentinels() -> Generator[RedisSentinels]:
    with running_sentinels() as started:
        yield started


async def write(redis: Connection, value: str) -> None:
    """The value was written, by as many attempts as it takes."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await redis.command("SET", "k", value)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_primary_that_was_replaced_is_left_before_it_knows(sentinels: RedisSentinels) -> None:
    async with open_client(sentinels.url) as redis:
        await asyncio.gather(*(redis.command("SET", "k", "before") for _ in range(10)))
        old = sentinels.primary
        sentinels.fail_over()
        async with asyncio.timeout(3 * ASK_SECONDS):
            while sentinels.primary.ask("GET", "k") != b"after":
                await write(redis, "after")
        assert sentinels.primary is not old
        assert await redis.commands([("GET", "k")] * 3) == [b"after"] * 3


async def test_without_sentinels_the_primary_serves_on() -> None:
    with running_sentinels() as sentinels:
        async with open_client(sentinels.url) as redis:
            for silence in (sentinels.sentinels[0].pause, sentinels.sentinels[0].kill):
                silence()
                await asyncio.sleep(1.1 * ASK_SECONDS)
                assert await redis.command("SET", "k", "v") == b"OK"


async def test_after_the_death_of_the_primary_writes_go_to_the_other() -> None:
    with running_sentinels(3) as sentinels:
        async with open_client(sentinels.url) as redis:
            await asyncio.gather(*(redis.command("SET", "k", "before") for _ in range(10)))
            old = sentinels.primary
            old.kill()
            with pytest.raises(StoreUnavailable):
                await redis.command("GET", "k")
            sentinels.sentinels[0].kill()
            await write(redis, "after")
            new = next(server for server in sentinels.data if server is not old)
            assert new.ask("GET", "k") == b"after"


async def test_a_sentinel_that_is_gone_is_passed_over(sentinels: RedisSentinels) -> None:
    gone = f"127.0.0.1:{free_port()}"
    address = parse(sentinels.url.replace("://", f"://{gone},"))
    finder = Sentinels(Dialer(address), address.hosts, address.service)
    assert (await finder.told())[1] == sentinels.primary.port
    assert finder._hosts[0] == address.hosts[1]


async def test_an_unknown_service_stops_the_start(sentinels: RedisSentinels) -> None:
    with pytest.raises(ConfigError, match="it knows no such service"):
        async with open_client(sentinels.url.rpartition("/")[0] + "/other"):
            pass
    with pytest.raises(ConfigError, match=r"redis\+sentinel"):
        async with open_client(f"redis://{sentinels.sentinels[0].place}"):
            pass
