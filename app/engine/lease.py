"""The lease: for how long this replica may believe that nobody has declared it dead."""

import asyncio
import logging
from math import inf

from msgspec import Struct

from app.core.clock import Clock
from app.core.errors import StaleClaim
from app.core.ids import Incarnation

log = logging.getLogger(__name__)


class Timing(Struct, frozen=True, kw_only=True):
    """The seconds by which replicas judge each other. All replicas of a deployment have the same."""

    beat: float = 1.0
    """Between two heartbeats."""
    lease: float = 4.0
    """How long a heartbeat counts."""
    sweep: float = 1.0
    """Between two looks for the dead."""
    tick: float = 3.0
    """How long the event loop may be silent before the heart stops: a replica that hangs should be declared dead."""


class Lease:
    """What one incarnation may do: all, while it is valid; nothing, while it has lapsed; nothing ever again, once dead.

    A lapsed lease may become valid again, and the incarnation's claims with it. Only the event loop that acts under the
    lease touches it: the heartbeat's thread posts there what it has to say.
    """

    def __init__(self, incarnation: Incarnation, clock: Clock, seconds: float) -> None:
        self.incarnation = incarnation
        self.deadline = -inf
        """On the clock's `monotonic`, which counts a suspend of the machine."""
        self.since = inf
        """When the first of an unbroken row of heartbeats was sent."""
        self.is_dead = False
        self.lapses = 0
        self._clock = clock
        self._seconds = seconds
        self._has_lapsed = False
        self._changed = asyncio.Event()

    @classmethod
    def endless(cls, incarnation: Incarnation, clock: Clock) -> "Lease":
        """Gives a lease that is always valid: of a replica that has its store to itself."""
        lease = cls(incarnation, clock, inf)
        lease.deadline = inf
        return lease

    @property
    def is_valid(self) -> bool:
        """Says whether the replica may act now."""
        return not self.is_dead and self._clock.monotonic() < self.deadline

    @property
    def is_seasoned(self) -> bool:
        """Says whether heartbeats have succeeded for a full lease: only then is the silence of others their own."""
        return self.is_valid and self._clock.monotonic() - self.since >= self._seconds

    async def held(self) -> None:
        """Returns at once while the lease is valid, and else as soon as it is. Raises StaleClaim once it is dead."""
        while not self.is_valid:
            if self.is_dead:
                raise StaleClaim(f"incarnation {self.incarnation} was declared dead, and its claims are void")
            self._note_lapse()
            self._changed.clear()
            await self._changed.wait()

    def renew(self, sent: float) -> None:
        """A heartbeat that was sent at that moment counts: from then, not from its answer."""
        self._note_lapse()
        if sent >= self.deadline or self.since == inf:
            self.since = sent
        if self.deadline == -inf:
            log.info("joined the other replicas", extra={"incarnation": self.incarnation})
        self.deadline = sent + self._seconds
        if self._has_lapsed and self.is_valid:
            self._has_lapsed = False
            log.info("the lease is valid again", extra={"incarnation": self.incarnation})
        self._changed.set()

    def miss(self) -> None:
        """A heartbeat failed, or was not sent."""
        self.since = inf
        self._note_lapse()

    def die(self) -> None:
        """The incarnation is dead, by others' word or by its own."""
        self.is_dead = True
        self._changed.set()

    def _note_lapse(self) -> None:
        if self._has_lapsed or self.is_dead or self.deadline == -inf or self.is_valid:
            return
        self._has_lapsed = True
        self.lapses += 1
        log.warning(
            "the lease has lapsed: nothing is done until it is renewed", extra={"incarnation": self.incarnation}
        )
