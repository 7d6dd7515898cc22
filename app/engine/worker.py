"""The worker: this replica's slots, what runs in them, and the nonces by which it knows its own claims."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.core.errors import BatonError, ClaimLost, StoreUnavailable
from app.core.ids import Nonce
from app.core.keys import SessionKey
from app.core.records import RunStarted
from app.engine.runner import Runner
from app.engine.services import Services
from app.engine.tasks import Tasks
from app.engine.tenure import Tenure
from app.engine.writer import ResumeReason
from app.stores.base import Log
from app.stores.bus import Gone, Live, Nudge
from app.stores.head import Claim, Claimant, Head

log = logging.getLogger(__name__)

TAKE_SECONDS = 2.0
"""How often `take` is called without a wake-up."""
QUARANTINE_SECONDS = 30.0
"""How long a session whose runner failed is left alone."""
CUT_SECONDS = 2.0
"""How long runners may take to let go once the drain's grace is over."""


class Worker:
    """Runs sessions in a bounded number of slots."""

    def __init__(self, services: Services) -> None:
        self.draining = False
        self.services = services
        self.held: Counter[Nonce] = Counter()
        """Every nonce that a claim of ours may carry; `take` adopts anew what this incarnation owns under others."""
        self._seats: dict[SessionKey, _Seat] = {}
        self._taken = 0
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

    def give_back(self, claimant: Claimant) -> None:
        """The reserved slot is free. If its claim was granted after all, `take` will find it."""
        self._vacate(claimant.nonce)

    def start(self, key: SessionKey, claim: Claim, session_log: Log, *, orphaned: bool = False) -> None:
        """The session runs in the slot that was reserved for its claim."""
        seat = _Seat(self, key, claim)
        self._seats[key] = seat
        self._emptied.clear()
        self._tasks.start(self._occupy(seat, session_log, _resumed(claim, session_log, orphaned=orphaned)))

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

    async def check_owned(self) -> None:
        """Cancels and deletions that nobody told us of are noticed: all heads of what runs here are read at once."""
        seats = dict(self._seats)
        heads = await self.services.stores.heads.peek(tuple(seats)) if seats else {}
        for key, seat in seats.items():
            seat.look(heads.get(key))

    def check_soon(self, seat: "_Seat") -> None:
        """That session's head is read at once."""
        self._tasks.start(self._check(seat))

    async def _check(self, seat: "_Seat") -> None:
        try:
            heads = await self.services.stores.heads.peek((seat.key,))
        except BatonError as error:
            log.warning("could not look at %s: %s", seat.key.encode(), error)
        else:
            seat.look(heads.get(seat.key))

    def claimant(self) -> Claimant:
        """Gives a claimant with a fresh nonce, held from now on."""
        nonce = Nonce(self.services.ids.token())
        self.held[nonce] += 1
        return Claimant(incarnation=self.services.incarnation, nonce=nonce, digests=self.services.catalog.digests())

    def forget(self, nonce: Nonce) -> None:
        """The nonce is not held any more, as far as this caller goes."""
        self.held[nonce] -= 1
        if self.held[nonce] <= 0:
            del self.held[nonce]

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

    async def _occupy(self, seat: "_Seat", session_log: Log, resumed: ResumeReason | None) -> None:
        """Runs the session, whatever comes; afterwards the slot is free and its nonces are forgotten."""
        failed = False
        try:
            await seat.run(session_log, resumed)
        except ClaimLost as error:
            log.warning("lost the claim on %s: %s", seat.key.encode(), error)
        except StoreUnavailable as error:
            log.warning("gave up %s until the store answers: %s", seat.key.encode(), error)
        except Exception:
            failed = True
            log.exception("the runner of %s failed; tried again in %g s", seat.key.encode(), QUARANTINE_SECONDS)
        finally:
            self._leave(seat, failed=failed)

    def _leave(self, seat: "_Seat", *, failed: bool) -> None:
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

    async def _take(self) -> None:
        """Ready sessions fill the free slots."""
        slots = self.free
        self._starved = slots <= 0
        if self.draining or slots <= 0:
            return
        self._taken += slots
        claimant = self.claimant()
        taken = 0
        try:
            for session in await self.services.stores.sessions.take(claimant, slots, frozenset(self.held)):
                self.held[session.claim.nonce] += 1
                taken += 1
                self.start(session.key, session.claim, session.log, orphaned=session.orphaned)
            self._starved = taken == slots
        finally:
            self._taken -= slots - taken
            self.forget(claimant.nonce)


class _Seat:
    """A slot in use: its session, its runner, and the nonces of the claim in force and of the next one."""

    def __init__(self, worker: Worker, key: SessionKey, claim: Claim) -> None:
        self.key = key
        self.nonces = [claim.nonce]
        self._worker = worker
        self._claim = claim
        self._runner: Runner | None = None

    async def run(self, session_log: Log, resumed: ResumeReason | None) -> None:
        """The session was run until it was let go."""
        services = self._worker.services
        stores = services.stores
        tenure = Tenure(self.key, self._claim, session_log, stores.sessions, stores.bus, services.clock)
        self._runner = runner = Runner(services, tenure, self._heir)
        unsubscribe = await stores.bus.subscribe(self.key, self._hear)
        stop_answering = await stores.bus.answer(self.key, runner.shown.snapshot)
        try:
            if self._worker.draining:
                runner.drain()
            await runner.run(resumed)
        finally:
            unsubscribe()
            stop_answering()
            runner.shown.close()

    def look(self, head: Head | None) -> None:
        """The runner is interrupted if its session is gone or its run cancelled; a head older than its state is not."""
        tenure = self._runner.tenure if self._runner is not None else None
        if tenure is None:
            return
        if head is None or head.birth != tenure.birth or (head.cancelling and head.seq >= tenure.state.seq):
            self.interrupt()

    def interrupt(self) -> None:
        """The runner looks at the log."""
        if self._runner is not None:
            self._runner.interrupt()

    def drain(self) -> None:
        """The runner lets go as soon as it can."""
        if self._runner is not None:
            self._runner.drain()

    def _hear(self, message: Live) -> None:
        if isinstance(message, Nudge | Gone):
            self._worker.check_soon(self)

    def _heir(self) -> Claimant | None:
        """Gives a claimant for the next queued run, in this slot; only the newest one counts."""
        if self._worker.draining or self._runner is None:
            return None
        in_force = self._runner.tenure.claim.nonce
        for nonce in [nonce for nonce in self.nonces if nonce != in_force]:
            self.nonces.remove(nonce)
            self._worker.forget(nonce)
        claimant = self._worker.claimant()
        self.nonces.append(claimant.nonce)
        return claimant


def _resumed(claim: Claim, session_log: Log, *, orphaned: bool) -> ResumeReason | None:
    """Says why the active run goes on, or None if this claim has just started it."""
    last = session_log.entries[-1].record if session_log.entries else None
    if isinstance(last, RunStarted) and last.epoch == claim.epoch:
        return None
    return "takeover" if orphaned else "handover"
