"""Which server answers for a key: the only one, the primary that sentinels name, or the one that has the key's slot."""

from collections.abc import Sequence
from typing import Protocol

from redis.asyncio.connection import Connection as Wire

from app.stores.redis.wires import Command, Reply, Server

Keyed = tuple[str | bytes | None, Command]
"""A command, and a key that it touches; None: it touches none, and any server may answer."""


class Routes(Protocol):
    """Carries commands to the servers that have their keys."""

    async def exchange(self, commands: Sequence[Keyed]) -> list[Reply]:
        """Gives the replies in the commands' order, refusals among them; those for one server are sent together."""
        ...

    async def borrow(self) -> Wire:
        """Gives a connection to any server that takes part; the caller owns it."""
        ...

    async def suspect(self) -> None:
        """Whoever did not answer may be gone, or replaced: the next exchange finds out anew."""
        ...

    async def close(self) -> None:
        """No connection is left, but those of exchanges under way, which close theirs."""
        ...


class OneServer:
    """Every key lies on the same server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def exchange(self, commands: Sequence[Keyed]) -> list[Reply]:
        return await self._server.exchange([command for _, command in commands])

    async def borrow(self) -> Wire:
        return await self._server.borrow()

    async def suspect(self) -> None:
        await self._server.forsake()

    async def close(self) -> None:
        await self._server.close()
