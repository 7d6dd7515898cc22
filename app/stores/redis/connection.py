"""An open Redis: scripts and commands, whatever lies behind the URL.

At most `pool` calls run at once, each on a connection of its own per server; one more waits for `wait` seconds, then
raises StoreUnavailable. A call ends after `timeout` seconds, connecting and redirections included. Nothing is
retried here, for a call that failed may have taken effect: the caller knows what makes its retry safe. After a restart
of the server at most one call fails, for then all its connections are given up.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import assert_never

from redis.asyncio.connection import Connection as Wire
from redis.exceptions import NoScriptError, RedisError

from app.core.errors import ConfigError, StoreBusy, StoreUnavailable
from app.stores.redis.addresses import Address, Topology, parse
from app.stores.redis.cluster import Cluster
from app.stores.redis.dialing import Dialer
from app.stores.redis.faults import translate
from app.stores.redis.routes import Keyed, OneServer, Routes
from app.stores.redis.scripts import Script, load_scripts
from app.stores.redis.sentinels import Primary, Sentinels
from app.stores.redis.wires import Command, Reply, Server

Argument = str | bytes | int | float
Call = tuple[str, Sequence[str], Sequence[Argument]]
"""A script's name, its keys (all of one hash tag), its arguments."""
POOL = 64
WAIT_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
OLDEST_VERSION = (7, 0)
KEEPING = "noeviction"
log = logging.getLogger(__name__)


class Connection:
    """Runs scripts by name and commands, one at a time or many in one round trip per server.

    Replies are undecoded: bytes, int, None, lists of them. Raises StoreUnavailable; what Redis refuses for another
    reason than its own state (a script's bug) comes as redis-py's ResponseError.
    """

    def __init__(
        self, routes: Routes, scripts: Mapping[str, Script], *, pool: int, wait: float, timeout: float
    ) -> None:
        self._routes = routes
        self._scripts = scripts
        self._pool = asyncio.Semaphore(pool)
        self.size = pool
        self.in_use = 0
        self._wait = wait
        self._timeout = timeout

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Argument] = ()) -> Reply:
        """Gives what the script returned."""
        return (await self.many([(script, keys, args)]))[0]

    async def many(self, calls: Sequence[Call]) -> list[Reply]:
        """Gives what each script returned, in the calls' order, though they may run in another.

        When one fails, the others may have run all the same.
        """
        replies = await self._exchange([self._by_digest(call) for call in calls])
        unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            again = await self._exchange([self._by_text(calls[place]) for place in unknown])
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
        return _accepted(replies)

    async def command(self, *command: Argument) -> Reply:
        """Gives the reply to a command whose first argument is its key, or that has no argument."""
        return (await self.commands([command]))[0]

    async def commands(self, commands: Sequence[Command]) -> list[Reply]:
        """Gives the replies to such commands, in order. When one fails, the others may have run all the same."""
        return _accepted(await self._exchange([(_key(command), command) for command in commands]))

    async def borrow(self) -> Wire:
        """Gives a new or idle connection of redis-py's, for a subscriber: it is the caller's, who closes it."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._routes.borrow()
        except TimeoutError as error:
            raise StoreUnavailable(f"Redis cannot be reached within {self._timeout:g} s") from error
        except Exception as error:
            raise translate(error) from error

    def _by_digest(self, call: Call) -> Keyed:
        name, keys, args = call
        return keys[0], ("EVALSHA", self._scripts[name].digest, len(keys), *keys, *args)

    def _by_text(self, call: Call) -> Keyed:
        name, keys, args = call
        return keys[0], ("EVAL", self._scripts[name].text, len(keys), *keys, *args)

    async def _exchange(self, commands: Sequence[Keyed]) -> list[Reply]:
        if not commands:
            return []
        await self._admit()
        self.in_use += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await self._routes.exchange(commands)
        except TimeoutError as error:
            await self._routes.suspect()
            raise StoreUnavailable(f"Redis did not answer within {self._timeout:g} s") from error
        except Exception as error:
            raise translate(error) from error
        finally:
            self.in_use -= 1
            self._pool.release()

    async def _admit(self) -> None:
        if not self._pool.locked():
            await self._pool.acquire()  # returns at once
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._pool.acquire()
        except TimeoutError as error:
            advice = "raise BATON_STORE_POOL or add replicas"
            raise StoreBusy(f"no free connection to Redis after {self._wait:g} s; {advice}") from error


def _accepted(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise translate(reply)
    return replies


def _key(command: Command) -> str | bytes | None:
    key = command[1] if len(command) > 1 else None
    return key if isinstance(key, str | bytes) else None


@asynccontextmanager
async def open_client(
    url: str,
    *,
    variable: str = "BATON_STORE_URL",
    pool: int = POOL,
    wait: float = WAIT_SECONDS,
    timeout: float = TIMEOUT_SECONDS,
    check: bool = True,
) -> AsyncGenerator[Connection, None]:
    """Gives a connection to what the URL names, once it answered, or, without the check, at once.

    Raises ConfigError, which names the variable, for what cannot be used.
    """
    address = parse(url, variable)
    routes = _routes(address)
    connection = Connection(routes, load_scripts(), pool=pool, wait=wait, timeout=timeout)
    try:
        if check:
            await _check(connection, address.topology, variable)
        yield connection
    finally:
        await routes.close()


def _routes(address: Address) -> Routes:
    dialer = Dialer(address)
    match address.topology:
        case "server":
            return OneServer(Server(partial(dialer.dial, address.hosts[0])))
        case "sentinel":
            return Primary(Sentinels(dialer, address.hosts, address.service))
        case "cluster":
            return Cluster(dialer, address.hosts)
        case _:
            assert_never(address.topology)


async def _check(connection: Connection, topology: Topology, variable: str) -> None:
    """The server answers, and is one that Baton can use; what might lose data is logged."""
    try:
        facts = _facts(await connection.command("INFO"))
    except (StoreUnavailable, RedisError) as error:
        raise ConfigError(
            f"{variable}: it leads to no Redis that can be used ({error}); start it, or mend it"
        ) from error
    mode = facts.get("redis_mode", "standalone")
    if mode != ("cluster" if topology == "cluster" else "standalone"):
        scheme = {"cluster": "redis+cluster", "sentinel": "redis+sentinel"}.get(mode, "redis")
        raise ConfigError(f"{variable}: it leads to a Redis in {mode} mode; write {scheme}://…")
    version = facts["redis_version"]
    if tuple(int(number) for number in version.split(".")[:2]) < OLDEST_VERSION:
        raise ConfigError(f"{variable}: it leads to Redis {version}; use one that is 7.0 or newer")
    policy = facts.get("maxmemory_policy", KEEPING)
    if policy != KEEPING:
        log.warning("Redis may evict sessions; set its maxmemory-policy to %s", KEEPING, extra={"policy": policy})


def _facts(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, found, value in lines if found}
