"""Who is alive, in Postgres: judged by the database's clock."""

from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.base import Beat
from app.stores.postgres.database import Database, Now


class PostgresReplicas:
    """One row per incarnation; a buried or forgotten one stays, and so never lives again."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def beat(self, incarnation: Incarnation) -> None:
        (row,) = await self._database.call("beat_v1", incarnation, self._now())
        if not row["alive"]:
            raise ReplicaDead(f"incarnation {incarnation} was declared dead, or has left")

    async def live(self) -> tuple[Beat, ...]:
        rows = await self._database.call("live_v1", self._now())
        return tuple(Beat(Incarnation(row["incarnation"]), row["beats"], row["age"]) for row in rows)

    async def bury(self, beat: Beat) -> bool:
        (row,) = await self._database.call("bury_v1", beat.incarnation, beat.count)
        return row["buried"]

    async def buried(self) -> tuple[Incarnation, ...]:
        return tuple(Incarnation(row["incarnation"]) for row in await self._database.call("buried_v1"))

    async def forget(self, incarnation: Incarnation) -> None:
        await self._database.call("forget_v1", incarnation, self._now())
