"""One connection for many calls: bounded, undecoded, and nobody ever gets another's reply."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha1

import pytest
from redis.asyncio.connection import Connection as Wire
from redis.exceptions import ResponseError

from app.core.errors import StoreUnavailable
from app.stores.redis.connection import Call, Connection, open_client
from app.stores.redis.routes import OneServer
from app.stores.redis.scripts import Script
from app.stores.redis.wires import Command, Reply, Server, talk
from tests.support.services.redis import DURABLE, RedisServer, running

SECONDS = 0.05
GIVE_BACK = "return {ARGV[1], KEYS[1]}"
WRITE = "return redis.call('INCR', KEYS[1])"
BROKEN = "return nothing.at_all"


def with_scripts(connection: Connection) -> Connection:
    """The connection knows the test's scripts too."""
    texts = {"give_back": GIVE_BACK, "write": WRITE, "broken": BROKEN}
    connection._scripts = {name: Script(text, sha1(text.encode()).hexdigest()) for name, text in texts.items()}
    return connection


async def blocked(server: RedisServer, number: int) -> None:
    """Returns once that many clients wait in a blocking command."""
    async with asyncio.timeout(10):
        while server.ask("INFO", "clients")["blocked_clients"] != number:
            await asyncio.sleep(0.002)


async def all_get_their_own(connection: Connection) -> bool:
    """A hundred calls, some at once: says whether each got its own answer."""
    for tens in range(10):
        asked = [b"%d" % (10 * tens + one) for one in range(10)]
        if await asyncio.gather(*(connection.command("ECHO", one) for one in asked)) != asked:
            return False
    return True


async def cancel_midway(server: RedisServer, connection: Connection) -> None:
    """A call was cancelled that the server will answer, with nothing, shortly after."""
    call = asyncio.ensure_future(connection.command("BLPOP", "nothing", 0.2))
    await blocked(server, 1)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


async def test_replies_are_bytes_and_numbers(redis: Connection) -> None:
    binary = bytes(range(256))
    assert await redis.command("SET", "k", binary) == b"OK"
    assert await redis.command("GET", "k") == binary
    assert await redis.command("GET", "none") is None
    assert await redis.commands([("INCR", "n"), ("RPUSH", "l", b"a", "b", 3, 4.5), ("LRANGE", "l", 0, -1)]) == [
        1,
        4,
        [b"a", b"b", b"3", b"4.5"],
    ]
    assert await redis.commands([]) == []


async def test_scripts_run_by_name_known_to_the_server_or_not(redis: Connection, server: RedisServer) -> None:
    with_scripts(redis)
    for _ in range(2):
        server.ask("SCRIPT FLUSH")
        assert await redis.run("give_back", ["k"], [b"\xff"]) == [b"\xff", b"k"]
        assert await redis.run("give_back", ["k"], ["é"]) == ["é".encode(), b"k"]


async def test_many_scripts_run_in_order_and_each_once(redis: Connection, server: RedisServer) -> None:
    with_scripts(redis)
    server.ask("SCRIPT FLUSH")
    calls: list[Call] = [("write", ["n"], []), ("give_back", ["k"], ["x"]), ("write", ["n"], [])]
    assert await redis.many(calls) == [1, [b"x", b"k"], 2]


async def test_a_broken_script_is_a_bug(redis: Connection) -> None:
    with pytest.raises(ResponseError, match="nothing"):
        await with_scripts(redis).run("broken", ["k"])
    assert await all_get_their_own(redis)


async def test_after_a_refusal_the_other_replies_are_read(redis: Connection) -> None:
    await redis.command("SET", "text", "x")
    with pytest.raises(ResponseError):
        await redis.commands([("INCR", "text"), ("INCR", "n"), ("LPUSH", "text", 1)])
    assert await redis.command("GET", "n") == b"1"
    assert await all_get_their_own(redis)


async def test_trap_a_cancelled_call_left_its_reply_to_the_next(server: RedisServer, redis: Connection) -> None:
    """A call that was cancelled between its request and its reply left the reply in the pool, for another call."""
    await cancel_midway(server, redis)
    assert await all_get_their_own(redis)


async def test_the_check_for_others_replies_can_fail(server: RedisServer) -> None:
    class Careless(Server):
        """Keeps the connection of a cancelled call."""

        async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
            wire = await self.borrow()
            try:
                await wire.send_packed_command(wire.pack_commands(commands))
                return [await wire.read_response(disconnect_on_error=False) for _ in commands]
            finally:
                await self._keep(wire, self._era)

    async def dial() -> Wire:
        wire = Wire(port=server.port, protocol=2)
        await wire.connect()
        return wire

    routes = OneServer(Careless(dial))
    connection = Connection(routes, {}, pool=1, wait=1, timeout=5)
    await cancel_midway(server, connection)
    assert not await all_get_their_own(connection)
    await routes.close()


async def test_calls_cancelled_at_any_moment_disturb_no_other(redis: Connection) -> None:
    async def cut(turns: int) -> None:
        call = asyncio.ensure_future(redis.commands([("ECHO", "cut"), ("ECHO", "off")]))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    for turns in range(12):
        _, clean = await asyncio.gather(cut(turns), all_get_their_own(redis))
        assert clean


async def test_trap_the_pool_ran_out_and_streams_failed_midway() -> None:
    """With every connection in use, calls failed at once or waited for ever, and nobody was told what to do."""
    with running() as server:
        async with open_client(server.url(), pool=2, wait=SECONDS) as connection:
            waiting = [asyncio.ensure_future(connection.command("BLPOP", "list", 30)) for _ in range(2)]
            await blocked(server, 2)
            with pytest.raises(StoreUnavailable, match=r"no free .* after 0\.05 s; raise BATON_STORE_POOL"):
                await connection.command("ECHO", "x")
            server.ask("RPUSH", "list", "a", "b")
            assert sorted([(await call)[1] for call in waiting]) == [b"a", b"b"]
            assert await all_get_their_own(connection)
            assert server.ask("INFO", "clients")["connected_clients"] <= 3


async def test_who_waits_for_a_connection_may_give_up() -> None:
    with running() as server:
        async with open_client(server.url(), pool=1, wait=30) as connection:
            first = asyncio.ensure_future(connection.command("BLPOP", "list", 30))
            await blocked(server, 1)
            others = [asyncio.ensure_future(connection.command("ECHO", "x")) for _ in range(3)]
            await asyncio.sleep(0)
            for one in others[:2]:
                one.cancel()
            server.ask("RPUSH", "list", "a")
            assert (await first)[1] == b"a"
            assert await others[2] == b"x"
            assert await all_get_their_own(connection)


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with running() as server:
        async with open_client(server.url(), timeout=0.2) as connection:
            assert await all_get_their_own(connection)
            server.pause()
            with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.2 s"):
                await connection.command("ECHO", "lost")
            server.resume()
            assert await all_get_their_own(connection)


async def failures(connection: Connection, calls: int) -> int:
    """Gives how many of so many calls, one after the other, failed."""
    failed = 0
    for _ in range(calls):
        try:
            await connection.command("GET", "k")
        except StoreUnavailable:
            failed += 1
    return failed


@pytest.mark.parametrize("idle", [1, 20])
async def test_after_a_restart_at_most_one_call_fails(idle: int) -> None:
    with running(**DURABLE) as server:
        async with open_client(server.url()) as connection:
            await asyncio.gather(*(connection.command("SET", "k", "v") for _ in range(idle)))
            server.kill()
            with pytest.raises(StoreUnavailable):
                await connection.command("GET", "k")
            server.start()
            assert await connection.command("GET", "k") == b"v"
            server.stop()
            server.start()
            assert await failures(connection, 5) <= 1
            assert await connection.command("GET", "k") == b"v"


async def test_a_full_server_is_unavailable() -> None:
    with running(maxmemory="1mb") as server:
        async with open_client(server.url()) as connection:
            with pytest.raises(StoreUnavailable, match="OOM"):
                await connection.command("SET", "k", "v")
            with pytest.raises(StoreUnavailable, match="OOM"):
                await with_scripts(connection).run("write", ["n"])


async def test_a_replica_of_another_server_is_unavailable(server: RedisServer) -> None:
    with running(replicaof=f"127.0.0.1 {server.port}") as replica:
        async with open_client(replica.url()) as connection:
            with pytest.raises(StoreUnavailable, match="READONLY"):
                await with_scripts(connection).run("write", ["n"])


async def test_who_borrows_a_connection_owns_it(redis: Connection) -> None:
    wire = await redis.borrow()
    assert await talk(wire, [("ECHO", "mine")]) == [b"mine"]
    assert await all_get_their_own(redis)
    await wire.disconnect()
