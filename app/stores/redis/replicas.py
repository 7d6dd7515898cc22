"""Who is alive, in Redis, by the server's clock.

An incarnation that left is remembered for a week, so that it may not beat again. One that wakes after that can beat,
but nothing more: its claims were taken from it long ago.
"""

from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.base import Beat
from app.stores.redis.clock import Stamp
from app.stores.redis.connection import Connection
from app.stores.redis.names import replicas

FORGOTTEN_SECONDS = 7 * 24 * 3600.0

_LIVE, _BURIED, _FORGOTTEN = replicas("live"), replicas("buried"), replicas("forgotten")


class RedisReplicas:
    """One heartbeat per replica; three tables under one hash tag, so that each change is one script."""

    def __init__(self, connection: Connection, stamp: Stamp) -> None:
        self._redis = connection
        self._stamp = stamp

    async def beat(self, incarnation: Incarnation) -> None:
        keys = (_LIVE, _BURIED, _FORGOTTEN)
        if not await self._redis.run("replica_beat", keys, (incarnation, self._stamp())):
            raise ReplicaDead(f"incarnation {incarnation} was declared dead, or has left")

    async def live(self) -> tuple[Beat, ...]:
        rows = await self._redis.run("replica_live", (_LIVE,), (self._stamp(),))
        beats = (Beat(Incarnation(name.decode()), count, float(age)) for name, count, age in rows)
        return tuple(sorted(beats, key=lambda beat: -beat.age))

    async def bury(self, beat: Beat) -> bool:
        return bool(await self._redis.run("replica_bury", (_LIVE, _BURIED), (beat.incarnation, beat.count)))

    async def buried(self) -> tuple[Incarnation, ...]:
        names = await self._redis.command("SMEMBERS", _BURIED)
        return tuple(Incarnation(name.decode()) for name in sorted(names))

    async def forget(self, incarnation: Incarnation) -> None:
        args = (incarnation, FORGOTTEN_SECONDS, self._stamp())
        await self._redis.run("replica_forget", (_LIVE, _BURIED, _FORGOTTEN), args)
