"""The sweeper: looks for replicas that have fallen silent, declares them dead, and frees what they owned."""

import asyncio
import logging
import random
from collections.abc import Callable

from msgspec import Struct

from app.core.clock import Clock
from app.core.errors import BatonError
from app.core.ids import Incarnation
from app.engine.lease import Lease, Timing
from app.engine.takeover import LATE_SECONDS, sweep
from app.stores.base import Beat
from app.stores.bundle import Stores

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0
"""How often a tombstone is swept that had nothing left to free."""
JITTER = 0.25
"""By how much of a pause the pauses differ, lest all replicas look in the same instant."""


class Sweeper:
    """Looks around again and again, on behalf of one replica."""

    def __init__(
        self,
        stores: Stores,
        clock: Clock,
        timing: Timing,
        lease: Callable[[], Lease],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.burials = 0
        self.sweeps = 0
        self.freed = 0
        self._stores = stores
        self._clock = clock
        self._timing = timing
        self._lease = lease
        self._chance = chance
        self._heard: dict[tuple[Incarnation, int], float] = {}
        """Since when each beat has been its sender's newest, as seen from here."""
        self._graves: dict[Incarnation, _Grave] = {}

    async def sweep_forever(self) -> None:
        """Looks around while this replica may act."""
        while True:
            await self._clock.sleep(self._timing.sweep * (1 + JITTER * (2 * self._chance() - 1)))
            try:
                async with asyncio.timeout(self._timing.lease):
                    await self.look()
            except (BatonError, TimeoutError) as error:
                log.warning("could not look for dead replicas: %r", error)
            except Exception:
                log.exception("could not look for dead replicas")

    async def look(self) -> None:
        """Who has been silent for a lease is dead, and what the dead owned is ready for others."""
        if not self._lease().is_valid:
            return
        beats = await self._stores.replicas.live()
        self._listen(beats)
        for beat in beats:
            if self._is_dead(beat):
                await self._bury(beat)
        await self._sweep_graves(await self._stores.replicas.buried())

    def _listen(self, beats: tuple[Beat, ...]) -> None:
        now, names = self._clock.monotonic(), [(beat.incarnation, beat.count) for beat in beats]
        self._heard = {name: self._heard.get(name, now) for name in names}

    def _is_dead(self, beat: Beat) -> bool:
        """Says whether a replica must be declared dead: its beat is too old by the store's clock.

        Nobody else is judged before our own beats have got through for a lease, and nobody by a store's clock that has
        just been put forward: half of the silence must have been heard from here.
        """
        lease = self._lease()
        heard = self._clock.monotonic() - self._heard[beat.incarnation, beat.count]
        judging = lease.is_seasoned and beat.incarnation != lease.incarnation
        return judging and beat.age > self._timing.lease and heard >= self._timing.lease / 2

    async def _bury(self, beat: Beat) -> None:
        if await self._stores.replicas.bury(beat):
            self.burials += 1
            fields = {"incarnation": self._lease().incarnation, "dead": beat.incarnation}
            log.warning("declared a replica dead that was silent for %.1f s", beat.age, extra=fields)

    async def _sweep_graves(self, buried: tuple[Incarnation, ...]) -> None:
        """The dead are swept, whoever buried them: the latest first, and those that have nothing left now and then."""
        now = self._clock.monotonic()
        self._graves = {dead: self._graves.get(dead, _Grave(now, now)) for dead in buried}
        due = [dead for dead, grave in self._graves.items() if grave.due <= now]
        for dead in sorted(due, key=lambda dead: -self._graves[dead].found):
            try:
                await self._sweep_grave(dead, self._graves[dead].found)
            except BatonError as error:
                log.warning("could not free what a dead replica owned: %r", error, extra={"dead": dead})

    async def _sweep_grave(self, dead: Incarnation, found: float) -> None:
        freed = await sweep(self._stores.sessions, dead)
        now = self._clock.monotonic()
        self.sweeps += 1
        self.freed += freed
        self._graves[dead] = _Grave(found, now if freed else now + AGAIN_SECONDS)
        if freed:
            self._stores.bus.wake()
            fields = {"incarnation": self._lease().incarnation, "dead": dead, "sessions": freed}
            log.warning("freed the sessions of a dead replica: %d", freed, extra=fields)
        elif now - found >= LATE_SECONDS:
            await self._stores.replicas.forget(dead)


class _Grave(Struct, frozen=True):
    """A tombstone: when it was found here, and when it is to be swept next."""

    found: float
    due: float
