"""Who is alive, in SQLite: who has ever been is in the file, when each one beat only in this process.

Only one process has the file open. So a beat need not reach the disk, and an incarnation that has not beaten since the
file was opened belongs to a process that is gone: it has been silent for ever.
"""

from math import inf

from app.core.clock import Clock
from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.base import Beat
from app.stores.sqlite.database import Database
from app.stores.sqlite.queries import Queries


class SqliteReplicas:
    """One heartbeat per replica. Every method runs in the writer's thread, one after the other."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._beats: dict[Incarnation, tuple[int, float]] = {}

    async def prune(self) -> None:
        """Those that left before the file was opened are not remembered: their processes are gone, and cannot beat."""
        await self._database.write(lambda queries: queries.run("prune_replicas", ("forgotten",)))

    async def beat(self, incarnation: Incarnation) -> None:
        now = self._clock.monotonic()

        def live_on(queries: Queries) -> None:
            state = _state(queries, incarnation)
            if state in ("buried", "forgotten"):
                raise ReplicaDead(f"incarnation {incarnation} was declared dead, or has left")
            if state is None:
                queries.run("set_replica", (incarnation, "live"))
            self._beats[incarnation] = (self._count(incarnation) + 1, now)

        await self._database.write(live_on)

    async def live(self) -> tuple[Beat, ...]:
        now = self._clock.monotonic()

        def look(queries: Queries) -> tuple[Beat, ...]:
            rows = queries.rows("list_replicas", ("live",))
            return tuple(Beat(name, self._count(name), now - self._beat_at(name)) for (name,) in rows)

        return tuple(sorted(await self._database.write(look), key=lambda beat: -beat.age))

    async def bury(self, beat: Beat) -> bool:
        def close(queries: Queries) -> bool:
            state = _state(queries, beat.incarnation)
            if state != "live" or self._count(beat.incarnation) != beat.count:
                return state == "buried"
            return queries.run("set_replica", (beat.incarnation, "buried")) > 0

        return await self._database.write(close)

    async def buried(self) -> tuple[Incarnation, ...]:
        def look(queries: Queries) -> tuple[Incarnation, ...]:
            return tuple(name for (name,) in queries.rows("list_replicas", ("buried",)))

        return await self._database.write(look)

    async def forget(self, incarnation: Incarnation) -> None:
        await self._database.write(lambda queries: queries.run("set_replica", (incarnation, "forgotten")))

    def _count(self, incarnation: Incarnation) -> int:
        return self._beats.get(incarnation, (0, 0.0))[0]

    def _beat_at(self, incarnation: Incarnation) -> float:
        return self._beats.get(incarnation, (0, -inf))[1]


def _state(queries: Queries, incarnation: Incarnation) -> str | None:
    row = queries.row("get_replica", (incarnation,))
    return row[0] if row is not None else None
