"""The worker: this replica's slots, what runs in them, and the nonces by which it knows its own claims."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf

from app.core.errors import BatonError, ClaimLost, StoreUnavailable
from app.core.ids import Nonce
from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.engine.heads import look
from app.engine.lease import Lease
from app.engine.seat import Seat
from app.engine.services import Services
from app.engine.takeover import LATE_SECONDS
from app.stores.base import Log
from app.stores.head import Claim, Claimant

log = logging.getLogger(__name__)

TAKE_SECONDS = 2.0
"""How often `take` is called without a wake-up."""
QUARANTINE_SECONDS = 30.0
"""How long a session whose runner failed is left alone."""
CUT_SECONDS = 2.0
"""How long runners may take to let go once the drain's grace is over."""


class Worker:
    """Runs sessions in a bounded number of slots."""

    def __init__(self, services: Services, lease: Callable[[], Lease]) -> None:
        self.draining = False
        self.services = services
        self.takeovers = 0
        self.held: Counter[Nonce] = Counter()
        """Every nonce that a claim of ours may carry; `take` adopts anew what this incarnation owns under others."""
        self._seats: dict[SessionKey, Seat] = {}
        self._lease = lease
        self._taken = 0
        self._doubted_at = -inf
        """When a request that may have claimed something went without an answer."""
        self._starved = False
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._tasks = Tasks()

    @property
    def free(self) -> int:
        """Gives the slots that neither run a session nor are reserved for one."""
        return self.services.slots - self._taken

    def running(self) -> tuple[SessionKey, ...]:
        """Gives the sessions that run here."""
        return tuple(self._seats)

    def reserve(self) -> Claimant | None:
        """Gives a claimant with a slot of its own, or None; it is given back by `start` or `give_back`."""
        self._starved = self.free <= 0
        if self.draining or self._starved:
            return None
        self._taken += 1
        return self.claimant()

    def may_act(self, claimant: Claimant) -> bool:
        """Says whether this replica may claim something as that incarnation now."""
        lease = self._lease()
        return lease.is_valid and claimant.incarnation == lease.incarnation

    def give_back(self, claimant: Claimant, *, is_answered: bool = True) -> None:
        """The reserved slot is free. If its claim was granted after all, `take` will find it."""
        if not is_answered:
            self._doubt()
        self._vacate(claimant.nonce)

    def start(self, key: SessionKey, claim: Claim, session_log: Log, *, orphaned: bool = False) -> None:
        """The session runs in the slot that was reserved for its claim.

        Unless it was claimed as an incarnation that has been declared dead meanwhile: then others take it over.
        """
        lease = self._lease()
        if session_log.head.owner != lease.incarnation:
            self._vacate(claim.nonce)
            return
        self.takeovers += orphaned
        seat = Seat(self, key, claim, lease)
        self._seats[key] = seat
        self._emptied.clear()
        self._tasks.start(self._occupy(seat, session_log, orphaned=orphaned))

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None, None]:
        """Takes ready sessions while the body runs; then whatever still runs is cut off, as by a crash."""
        stop = await self.services.stores.bus.on_wake(self._wake.set)
        async with self._tasks:
            self._tasks.start(self._take_forever())
            try:
                yield
            finally:
                stop()

    async def drain(self, grace: float) -> None:
        """Nothing runs here: runs were let go between steps, and those in mid-call after `grace` seconds."""
        self.draining = True
        for seat in tuple(self._seats.values()):
            seat.drain()
        if not await self._empties(grace):
            for seat in tuple(self._seats.values()):
                seat.interrupt()
            await self._empties(CUT_SECONDS)

    def act_under(self, lease: Lease) -> None:
        """Sessions are taken under that lease from now on; what runs under another one has lost its claim."""
        for seat in tuple(self._seats.values()):
            if seat.lease is not lease:
                seat.interrupt()
        self._wake.set()

    @property
    def is_settled(self) -> bool:
        """Says whether nothing is claimed here, and nothing will be: no request of late went unanswered."""
        return not self._taken and self.services.clock.monotonic() - self._doubted_at > LATE_SECONDS

    async def check_owned(self) -> None:
        """Cancels and deletions that nobody told us of are noticed: all heads of what runs here are read at once."""
        seats = dict(self._seats)
        heads = await look(self.services.stores.heads, tuple(seats))
        for key, seat in seats.items():
            if key in heads:
                seat.look(heads[key])

    def check_soon(self, seat: Seat) -> None:
        """That session's head is read at once."""
        self._tasks.start(self._check(seat))

    async def _check(self, seat: Seat) -> None:
        try:
            heads = await self.services.stores.heads.peek((seat.key,))
        except BatonError as error:
            log.warning("could not look at %s: %s", seat.key.encode(), error)
        except Exception:
            log.exception("could not look at %s", seat.key.encode())
        else:
            seat.look(heads.get(seat.key))

    def claimant(self) -> Claimant:
        """Gives a claimant with a fresh nonce, held from now on."""
        nonce = Nonce(self.services.ids.token())
        self.held[nonce] += 1
        return Claimant(incarnation=self._lease().incarnation, nonce=nonce, digests=self.services.catalog.digests())

    def forget(self, nonce: Nonce) -> None:
        """The nonce is not held any more, as far as this caller goes."""
        self.held[nonce] -= 1
        if self.held[nonce] <= 0:
            del self.held[nonce]

    def _doubt(self) -> None:
        self._doubted_at = self.services.clock.monotonic()

    def _vacate(self, *nonces: Nonce) -> None:
        self._taken -= 1
        for nonce in nonces:
            self.forget(nonce)
        if self._starved:
            self._wake.set()

    async def _empties(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._emptied.wait()
        except TimeoutError:
            return False
        return True

    async def _occupy(self, seat: Seat, session_log: Log, *, orphaned: bool) -> None:
        """Runs the session, whatever comes; afterwards the slot is free and its nonces are forgotten."""
        failed = False
        try:
            await seat.run(session_log, orphaned=orphaned)
        except ClaimLost as error:
            log.warning("lost the claim on %s: %s", seat.key.encode(), error)
        except StoreUnavailable as error:
            self._doubt()
            log.warning("gave up %s until the store answers: %s", seat.key.encode(), error)
        except Exception:
            failed = True
            log.exception("the runner of %s failed; tried again in %g s", seat.key.encode(), QUARANTINE_SECONDS)
        finally:
            self._leave(seat, failed=failed)

    def _leave(self, seat: Seat, *, failed: bool) -> None:
        if self._seats.get(seat.key) is seat:
            del self._seats[seat.key]
        if failed:
            loop = asyncio.get_running_loop()
            for nonce in seat.nonces:
                loop.call_later(QUARANTINE_SECONDS, self.forget, nonce)
            self._vacate()
        else:
            self._vacate(*seat.nonces)
        if not self._seats:
            self._emptied.set()

    async def _take_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TAKE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._take()
            except BatonError as error:
                log.warning("could not look for ready sessions: %s", error)
            except Exception:
                log.exception("could not look for ready sessions")

    async def _take(self) -> None:
        """Ready sessions fill up to half of the free slots: the others are for inputs that come meanwhile."""
        slots = (self.free + 1) // 2
        self._starved = slots <= 0
        if self.draining or slots <= 0 or not self._lease().is_valid:
            return
        self._taken += slots
        claimant = self.claimant()
        taken = 0
        try:
            for session in await self.services.stores.sessions.take(claimant, slots, frozenset(self.held)):
                self.held[session.claim.nonce] += 1
                taken += 1
                self.start(session.key, session.claim, session.log, orphaned=session.orphaned)
            if taken == slots:
                self._wake.set()
        except BaseException:
            self._doubt()
            raise
        finally:
            self._taken -= slots - taken
            self.forget(claimant.nonce)
