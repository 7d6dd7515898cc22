"""A seat: one slot of the worker's in use, by one session and the runner of its runs."""

from typing import Protocol

from app.core.ids import Nonce
from app.core.keys import SessionKey
from app.core.records import RunStarted
from app.engine.lease import Lease
from app.engine.runner import Runner
from app.engine.services import Services
from app.engine.tenure import Tenure
from app.engine.writer import ResumeReason
from app.stores.base import Log
from app.stores.bus import Gone, Live, Nudge
from app.stores.head import Claim, Claimant, Head


class Host(Protocol):
    """What a seat needs of its worker."""

    draining: bool
    services: Services

    def claimant(self) -> Claimant:
        """Gives a claimant with a fresh nonce, held from now on."""
        ...

    def forget(self, nonce: Nonce) -> None:
        """The nonce is not held any more, as far as this caller goes."""
        ...

    def check_soon(self, seat: "Seat") -> None:
        """That session's head is read at once."""
        ...


class Seat:
    """A slot in use: its session, its runner, and the nonces of the claim in force and of the next one."""

    def __init__(self, host: Host, key: SessionKey, claim: Claim, lease: Lease) -> None:
        self.key = key
        self.lease = lease
        self.nonces = [claim.nonce]
        self._host = host
        self._claim = claim
        self._runner: Runner | None = None

    async def run(self, session_log: Log, *, orphaned: bool) -> None:
        """The session was run until it was let go."""
        services = self._host.services
        stores = services.stores
        tenure = Tenure(self.key, self._claim, session_log, stores.sessions, stores.bus, services.clock, self.lease)
        self._runner = runner = Runner(services, tenure, self._heir)
        unsubscribe = await stores.bus.subscribe(self.key, self._hear, home=True)
        stop_answering = await stores.bus.answer(self.key, runner.shown.snapshot)
        try:
            if self._host.draining:
                runner.drain()
            await runner.run(_resumed(self._claim, session_log, orphaned=orphaned))
        finally:
            unsubscribe()
            stop_answering()
            runner.shown.close()

    def look(self, head: Head | None) -> None:
        """The runner is interrupted if its session is gone or another's, or its run cancelled, unless it knows."""
        tenure = self._runner.tenure if self._runner is not None else None
        if tenure is None:
            return
        if head is None or _is_lost(head, tenure) or (head.cancelling and head.seq >= tenure.state.seq):
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
            self._host.check_soon(self)

    def _heir(self) -> Claimant | None:
        """Gives a claimant for the next queued run, in this slot; only the newest one counts."""
        if self._host.draining or self._runner is None:
            return None
        in_force = self._runner.tenure.claim.nonce
        for nonce in [nonce for nonce in self.nonces if nonce != in_force]:
            self.nonces.remove(nonce)
            self._host.forget(nonce)
        claimant = self._host.claimant()
        self.nonces.append(claimant.nonce)
        return claimant


def _is_lost(head: Head, tenure: Tenure) -> bool:
    """Says whether the session is another one under the same key, or somebody else's."""
    return head.birth != tenure.birth or head.epoch > tenure.claim.epoch


def _resumed(claim: Claim, session_log: Log, *, orphaned: bool) -> ResumeReason | None:
    """Says why the active run goes on, or None if this claim has just started it."""
    last = session_log.entries[-1].record if session_log.entries else None
    if isinstance(last, RunStarted) and last.epoch == claim.epoch:
        return None
    return "takeover" if orphaned else "handover"
