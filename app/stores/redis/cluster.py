"""Routes in a Redis Cluster: every key has a slot, every slot a primary, and a server that is asked in vain says who.

The map of slots is read before the first exchange, and again after a server was lost, a redirection, or a cluster that
was down: a call that meets such a thing fails or follows it, and the next one has a new map. A redirected command was
not carried out, so following it is no retry. See the Redis Cluster specification.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from redis.asyncio.connection import Connection as Wire
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as LostConnection

from app.stores.redis.addresses import Host
from app.stores.redis.dialing import CONNECT_SECONDS, Dialer
from app.stores.redis.routes import Keyed
from app.stores.redis.wires import Command, Reply, Server

SLOTS = 16384
REDIRECTIONS = 3
_ASKING: Command = ("ASKING",)


class _Leg(Struct, frozen=True):
    """A command on its way to a server; its reply belongs at that place. `asking`: its slot is moving there."""

    place: int
    command: Command
    host: Host
    asking: bool = False

    def redirected(self, by: AskError) -> "_Leg":
        name, _, port = str(by).rpartition(" ")[2].rpartition(":")
        host = (name or self.host[0], int(port))
        return _Leg(self.place, self.command, host, asking=not isinstance(by, MovedError))


class Cluster:
    """The servers of a cluster, each with its connections, and the map of slots."""

    def __init__(self, dialer: Dialer, seeds: Sequence[Host]) -> None:
        self._dialer = dialer
        self._seeds = seeds
        self._servers: dict[Host, Server] = {}
        self._slots: list[Host | None] = [None] * SLOTS
        self._stale = True
        self._reading = asyncio.Lock()

    async def exchange(self, commands: Sequence[Keyed]) -> list[Reply]:
        await self._know()
        replies: list[Reply] = [None] * len(commands)
        legs = [_Leg(place, command, self._home(key)) for place, (key, command) in enumerate(commands)]
        for _ in range(1 + REDIRECTIONS):
            await self._carry(legs, replies)
            legs = [leg.redirected(reply) for leg in legs if isinstance(reply := replies[leg.place], AskError)]
            if not legs:
                break
            self._stale = True
        return replies

    async def borrow(self) -> Wire:
        await self._know()
        return await self._server(self._home(None)).borrow()

    async def suspect(self) -> None:
        self._stale = True

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()

    def _home(self, key: str | bytes | None) -> Host:
        """Gives the server that has the key's slot; for no key, any."""
        slot = 0 if key is None else key_slot(key if isinstance(key, bytes) else key.encode())
        host = self._slots[slot]
        if host is None:
            raise ClusterDownError(f"CLUSTERDOWN no server has slot {slot}")
        return host

    def _server(self, host: Host) -> Server:
        server = self._servers.get(host)
        if server is None:
            server = self._servers[host] = Server(partial(self._dialer.dial, host))
        return server

    async def _carry(self, legs: Iterable[_Leg], replies: list[Reply]) -> None:
        """Each leg's reply is in its place, or the error that lost its server."""
        by_host: defaultdict[Host, list[_Leg]] = defaultdict(list)
        for leg in legs:
            by_host[leg.host].append(leg)
        if len(by_host) == 1:
            for group in by_host.values():
                await self._carry_to(group, replies)
            return
        async with asyncio.TaskGroup() as tasks:
            for group in by_host.values():
                tasks.create_task(self._carry_to(group, replies))

    async def _carry_to(self, legs: Sequence[_Leg], replies: list[Reply]) -> None:
        """The legs are to the same server."""
        commands = [command for leg in legs for command in ((_ASKING, leg.command) if leg.asking else (leg.command,))]
        try:
            answered = iter(await self._server(legs[0].host).exchange(commands))
        except (RedisError, OSError) as error:
            self._stale = True
            answered = iter([error] * len(commands))
        for leg in legs:
            if leg.asking:
                next(answered)
            replies[leg.place] = next(answered)
        self._stale = self._stale or any(isinstance(replies[leg.place], ClusterDownError) for leg in legs)

    async def _know(self) -> None:
        """The map is known, and no older than the last doubt about it."""
        if not self._stale:
            return
        async with self._reading:
            if self._stale:
                await self._learn()

    async def _learn(self) -> None:
        failure: Exception = LostConnection("no server of the cluster answers")
        for host in dict.fromkeys([*self._servers, *self._seeds]):
            try:
                self._slots = await self._map_by(host)
            except (RedisError, OSError) as error:
                failure = error
                continue
            self._stale = False
            await self._dismiss(set(self._servers) - set(self._slots))
            return
        raise failure

    async def _map_by(self, host: Host) -> list[Host | None]:
        """Gives the map as that server sees it."""
        async with asyncio.timeout(CONNECT_SECONDS):
            (reply,) = await self._server(host).exchange(
                [
                    (
                        "CLUSTER",
                        "SLOTS",
                    )
                ]
            )
        if isinstance(reply, Exception):
            raise reply
        slots: list[Host | None] = [None] * SLOTS
        for first, last, primary, *_ in reply:
            slots[first : last + 1] = [_place(primary, host)] * (last - first + 1)
        return slots

    async def _dismiss(self, hosts: Iterable[Host | None]) -> None:
        for host in hosts:
            if host is not None:
                await self._servers.pop(host).close()


def _place(node: Sequence[Any], teller: Host) -> Host:
    """Gives a node's address; a server that does not know its own name leaves it empty."""
    return node[0].decode() if node[0] else teller[0], int(node[1])
