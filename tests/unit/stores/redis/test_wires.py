"""What becomes of a server's idle connections when one of them is lost, closed from afar, or given up."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest
from redis.exceptions import ConnectionError as LostConnection

from app.stores.redis.addresses import parse
from app.stores.redis.dialing import Dialer
from app.stores.redis.wires import Server
from tests.support.services.redis import RedisServer

WAIT = ("BLPOP", "nothing", 30)
ECHO = ("ECHO", "x")


@pytest.fixture
async def wires(server: RedisServer) -> AsyncGenerator[Server, None]:
    """A server with three idle connections."""
    address = parse(server.url(server.fresh()))
    opened = Server(partial(Dialer(address).dial, address.hosts[0]))
    await asyncio.gather(*(opened.exchange([ECHO]) for _ in range(3)))
    yield opened
    await opened.close()


async def one_waits(wires: Server, server: RedisServer) -> "asyncio.Future[list[object]]":
    """Gives an exchange under way, for which the server waits."""
    waiting = asyncio.ensure_future(wires.exchange([WAIT]))
    async with asyncio.timeout(10):
        while not server.ask("INFO", "clients")["blocked_clients"]:
            await asyncio.sleep(0.002)
    return waiting


async def unblock(server: RedisServer) -> None:
    for about in server.ask("CLIENT LIST"):
        if about["cmd"] == "blpop":
            server.ask("CLIENT UNBLOCK", about["id"])


async def test_connections_are_used_again(wires: Server) -> None:
    idle = set(wires._idle)
    assert len(idle) == 3
    for _ in range(10):
        assert await wires.exchange([ECHO]) == [b"x"]
    assert set(wires._idle) == idle


async def test_when_one_is_lost_the_others_are_given_up(wires: Server, server: RedisServer) -> None:
    waiting = await one_waits(wires, server)
    (victim,) = [about["id"] for about in server.ask("CLIENT LIST") if about["cmd"] == "blpop"]
    server.ask("CLIENT KILL", "ID", victim)
    with pytest.raises(LostConnection):
        await waiting
    assert wires._idle == []
    assert await wires.exchange([ECHO]) == [b"x"]


async def test_one_in_use_while_all_are_given_up_is_not_kept(wires: Server, server: RedisServer) -> None:
    waiting = await one_waits(wires, server)
    await wires.forsake()
    await unblock(server)
    assert await waiting == [None]
    assert wires._idle == []


async def test_one_that_was_closed_from_afar_fails_no_call(wires: Server, server: RedisServer) -> None:
    server.ask("CLIENT KILL", "TYPE", "normal")
    async with asyncio.timeout(10):
        while not all([await wire.can_read() for wire in wires._idle]):
            await asyncio.sleep(0.002)
    assert await wires.exchange([ECHO]) == [b"x"]


async def test_one_in_use_while_all_is_closed_is_closed_afterwards(wires: Server, server: RedisServer) -> None:
    waiting = await one_waits(wires, server)
    await wires.close()
    await unblock(server)
    assert await waiting == [None]
    assert wires._idle == []
