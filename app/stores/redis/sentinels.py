"""The primary of a service that sentinels watch: asked for whenever a connection is made, and asked its role.

A sentinel may name a primary that is gone, or not promoted yet: what it says counts only once that server says the
same of itself. And a primary that was replaced in good order may hear of it 10 seconds later, and take writes until
then, which are lost: so the sentinels are asked again every second. See "Guidelines for Redis clients with support for
Redis Sentinel".
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from redis.asyncio.connection import Connection as Wire
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError

from app.stores.redis.addresses import Host
from app.stores.redis.dialing import CONNECT_SECONDS, Dialer
from app.stores.redis.routes import Keyed
from app.stores.redis.wires import Command, Reply, Server, talk

ASK_SECONDS = 1.0
PATIENCE_SECONDS = 0.5
"""How long an exchange waits for sentinels, when it has a primary to talk to."""
T = TypeVar("T")


class Sentinels:
    """Finds the primary by the first sentinel that leads to it, which is asked first from then on."""

    def __init__(self, dialer: Dialer, hosts: Sequence[Host], service: str) -> None:
        self._dialer = dialer
        self._hosts = list(hosts)
        self._service = service

    async def dial(self) -> Wire:
        """Gives a connection to the primary. Raises redis-py's ConnectionError when no sentinel leads to one."""

        async def lead(host: Host) -> Wire:
            return await self._dial_primary(await self._told(host))

        return await self._by_any(lead)

    async def told(self) -> Host:
        """Gives what the first sentinel says that answers. Raises redis-py's ConnectionError when none does."""
        return await self._by_any(self._told)

    async def _by_any(self, ask: Callable[[Host], Awaitable[T]]) -> T:
        reasons: list[str] = []
        for host in tuple(self._hosts):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    answer = await ask(host)
            except (RedisError, OSError) as error:
                reasons.append(f"by {host[0]}:{host[1]}: {error or type(error).__name__}")
                continue
            self._hosts.sort(key=lambda other: other != host)
            return answer
        raise LostConnection(f"no sentinel leads to a primary of {self._service!r}: {'; '.join(reasons)}")

    async def _told(self, sentinel: Host) -> Host:
        wire = await self._dialer.dial_sentinel(sentinel)
        try:
            place = await _ask(wire, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
        finally:
            await wire.disconnect(nowait=True)
        if place is None:
            raise LostConnection("it knows no such service")
        return place[0].decode(), int(place[1])

    async def _dial_primary(self, host: Host) -> Wire:
        wire = await self._dialer.dial(host)
        try:
            role = await _ask(wire, ("ROLE",))
            if role[0] != b"master":
                raise LostConnection(f"{host[0]}:{host[1]} is not the primary")
        except BaseException:
            await wire.disconnect(nowait=True)
            raise
        return wire


class Primary:
    """Every key lies on the primary. Once a second, one exchange first asks who that is."""

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self._server = Server(sentinels.dial)
        self._host: Host | None = None
        self._due = 0.0

    async def exchange(self, commands: Sequence[Keyed]) -> list[Reply]:
        await self._recognise()
        return await self._server.exchange([command for _, command in commands])

    async def borrow(self) -> Wire:
        await self._recognise()
        return await self._server.borrow()

    async def suspect(self) -> None:
        await self._server.forsake()

    async def close(self) -> None:
        await self._server.close()

    async def _recognise(self) -> None:
        """No connection to a primary that was replaced is used, as far as the sentinels know; without them, it is."""
        now = asyncio.get_running_loop().time()
        if now < self._due:
            return
        self._due = now + ASK_SECONDS
        with suppress(LostConnection, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                host = await self._sentinels.told()
            if self._host not in (None, host):
                await self._server.forsake()
            self._host = host


async def _ask(wire: Wire, command: Command) -> Reply:
    (reply,) = await talk(wire, [command])
    if isinstance(reply, Exception):
        raise reply
    return reply
