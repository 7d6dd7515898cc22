"""Who is alive, in memory. Ages are measured by the monotonic clock: a corrected wall clock kills nobody."""

from app.core.clock import Clock
from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.base import Beat
from app.stores.memory.contents import Contents, Presence


class MemoryReplicas:
    """One heartbeat per replica. An incarnation that was buried or forgotten is remembered: it never lives again."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._all = contents
        self._clock = clock

    async def beat(self, incarnation: Incarnation) -> None:
        presence = self._all.replicas.setdefault(incarnation, Presence())
        if presence.buried or presence.forgotten:
            raise ReplicaDead(f"incarnation {incarnation} was declared dead, or has left")
        presence.count += 1
        presence.beat_at = self._clock.monotonic()

    async def live(self) -> tuple[Beat, ...]:
        now = self._clock.monotonic()
        listed = ((name, one) for name, one in self._all.replicas.items() if not one.buried and not one.forgotten)
        beats = (Beat(name, one.count, now - one.beat_at) for name, one in listed)
        return tuple(sorted(beats, key=lambda beat: -beat.age))

    async def bury(self, beat: Beat) -> bool:
        presence = self._all.replicas.get(beat.incarnation)
        if presence is None or presence.forgotten:
            return False
        presence.buried = presence.buried or presence.count == beat.count
        return presence.buried

    async def buried(self) -> tuple[Incarnation, ...]:
        return tuple(name for name, one in self._all.replicas.items() if one.buried and not one.forgotten)

    async def forget(self, incarnation: Incarnation) -> None:
        self._all.replicas.setdefault(incarnation, Presence()).forgotten = True
