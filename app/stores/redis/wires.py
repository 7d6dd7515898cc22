"""The connections to one Redis server: each is used by one exchange at a time, and kept for the next.

Redis-py's connections speak the protocol, but none of its clients and pools stands between: they cost as much CPU again
as the call itself, retry by themselves, and lose a connection when a call is cancelled while it gives it back. Here an
exchange that does not end in order, cancelled or failed, closes its connection: no reply is ever left for another.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from hiredis import pack_command  # pyright: ignore[reportUnknownVariableType]
from redis.asyncio.connection import Connection as Wire
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError, ResponseError

Command = tuple[str | bytes | int | float, ...]
Reply = Any
"""What a server answers, in RESP2 and undecoded; a ResponseError where it refused."""

_pack = cast("Callable[[Command], bytes]", pack_command)
"""Many times as fast as redis-py's own; its stub knows commands of one word only."""


class Server:
    """One server. How many exchanges there are at once is bounded by who uses it."""

    def __init__(self, connect: Callable[[], Awaitable[Wire]]) -> None:
        self._connect = connect
        self._idle: list[Wire] = []
        self._era = 0
        self._closed = False

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Gives the replies to the commands, sent together; refusals are among them. Raises when the server is lost."""
        era = self._era
        wire = await self.borrow()
        try:
            replies = await talk(wire, commands)
        except BaseException as error:
            await wire.disconnect(nowait=True)
            if isinstance(error, LostConnection):
                await self.forsake()
            raise
        if any(isinstance(reply, ReadOnlyError) for reply in replies):  # it was the primary once
            await self.forsake()
        await self._keep(wire, era)
        return replies

    async def borrow(self) -> Wire:
        """Gives a connection, which the caller owns from then on."""
        while self._idle:
            wire = self._idle.pop()
            if wire.is_connected and not await wire.can_read():  # what can be read now is the end, or another's reply
                return wire
            await wire.disconnect(nowait=True)
        return await self._connect()

    async def _keep(self, wire: Wire, era: int) -> None:
        if self._closed or era != self._era:
            await wire.disconnect(nowait=True)
        else:
            self._idle.append(wire)

    async def forsake(self) -> None:
        """None of the connections made so far is used again: the next exchange makes a new one."""
        self._era += 1
        idle, self._idle = self._idle, []
        for wire in idle:
            await wire.disconnect(nowait=True)

    async def close(self) -> None:
        """Idle connections are closed; each of the others will be, when its exchange ends."""
        self._closed = True
        await self.forsake()


async def talk(wire: Wire, commands: Sequence[Command]) -> list[Reply]:
    """Gives the replies to the commands, sent together over that connection."""
    packed = b"".join([_pack(command) for command in commands])
    await wire.send_packed_command(packed, check_health=False)
    return [await _reply(wire) for _ in commands]


async def _reply(wire: Wire) -> Reply:
    try:
        return cast("Reply", await wire.read_response())
    except ResponseError as refusal:
        return refusal
