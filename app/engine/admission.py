"""Admission: an input on its way into a session's log, and its run into a slot."""

import hashlib
from collections.abc import Sequence

import msgspec

from app.auth.base import Principal
from app.core.errors import BatonError, Draining, StoreBusy, StoreUnavailable
from app.core.ids import Birth, RunId, SessionId
from app.core.keys import SessionKey, derived_session_id, new_run_id
from app.core.messages import Part, TextPart
from app.core.records import Busy
from app.engine.broadcast import Broadcast
from app.engine.services import Services
from app.engine.spill import spill_parts
from app.engine.views import Accepted, Invocation
from app.engine.worker import Worker
from app.stores.base import Attached, Claimed, Joined, Queued, Submitted
from app.stores.bus import Announced, Nudge
from app.stores.head import Claimant, Submission

TITLE_CHARS = 80
RETRY_SECONDS = (0.05, 0.2, 0.5)


class Admission:
    """Submits inputs, and starts what this replica claimed."""

    def __init__(self, services: Services, worker: Worker, broadcast: Broadcast) -> None:
        self._services = services
        self._worker = worker
        self._broadcast = broadcast

    async def submit(self, who: Principal, invocation: Invocation) -> Accepted:
        """The input is in the log, once, however often the request is repeated under its idempotency key.

        Raises AgentNotFound, SessionBusy, QueueFull, IdempotencyMismatch, Draining, StoreUnavailable.
        """
        if self._worker.draining:
            raise Draining("this server is shutting down; send the request again, to another one or in a moment")
        self._services.catalog.get(invocation.agent)
        key = SessionKey(who.tenant, who.user, invocation.agent, self._session(who, invocation))
        submission = await self._submission(key, invocation)
        claimant = self._worker.reserve()
        try:
            outcome = await self._insist(key, submission, claimant)
            if isinstance(outcome, Claimed):
                await self._prime(key, outcome)
        except BaseException as error:
            self._give_back(claimant, is_answered=_is_answer(error))
            raise
        return self._accept(key, outcome, claimant, submission.policy)

    def _session(self, who: Principal, invocation: Invocation) -> SessionId:
        if invocation.session is not None:
            return invocation.session
        if invocation.idempotency_key is not None:
            return derived_session_id(who.tenant, who.user, invocation.idempotency_key)
        return SessionId(f"ses_{self._services.ids.token()}")

    async def _submission(self, key: SessionKey, invocation: Invocation) -> Submission:
        ids = self._services.ids
        return Submission(
            run_id=new_run_id(key, ids),
            input=await spill_parts(invocation.input, key.tenant, self._services.stores.blobs),
            birth=Birth(ids.token()),
            policy=invocation.policy,
            metadata=invocation.metadata,
            title=title_of(invocation.input),
            idempotency_key=invocation.idempotency_key,
            fingerprint=_fingerprint(invocation),
        )

    async def _insist(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        """Repeats the submit while the store does not answer; the run id makes it take effect once."""
        for pause in RETRY_SECONDS:
            try:
                return await self._submit(key, submission, claimant)
            except StoreBusy:  # it has waited for long enough, and others wait behind it
                raise
            except StoreUnavailable:
                await self._services.clock.sleep(pause)
        return await self._submit(key, submission, claimant)

    async def _submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        """Submits; the claimant may claim only while this replica may act, else the run waits for another one."""
        able = claimant if claimant is not None and self._worker.may_act(claimant) else None
        return await self._services.stores.sessions.submit(key, submission, able)

    def _give_back(self, claimant: Claimant | None, *, is_answered: bool = True) -> None:
        if claimant is not None:
            self._worker.give_back(claimant, is_answered=is_answered)

    async def _prime(self, key: SessionKey, claimed: Claimed) -> None:
        await self._broadcast.prime(key, claimed.log.head.birth, claimed.seq - 1, claimed.claim.epoch)

    def _accept(self, key: SessionKey, outcome: Submitted, claimant: Claimant | None, policy: Busy) -> Accepted:
        """Starts the run or tells its owner. Never waits: a client that leaves now cannot lose a claim."""
        if isinstance(outcome, Claimed):
            return self._start(key, outcome)
        self._give_back(claimant)
        bus = self._services.stores.bus
        bus.publish(key, Announced(outcome.birth, outcome.seq))
        if isinstance(outcome, Queued | Joined) and outcome.ready:
            bus.wake()
        elif isinstance(outcome, Queued) and policy is Busy.INTERRUPT:
            bus.publish(key, Nudge(outcome.run_id))
        return _accepted(key, outcome.birth, outcome.run_id, outcome)

    def _start(self, key: SessionKey, claimed: Claimed) -> Accepted:
        head = claimed.log.head
        self._worker.start(key, claimed.claim, claimed.log.until(claimed.claim))
        entries = tuple(entry for entry in claimed.log.entries if entry.seq >= claimed.seq)
        self._services.stores.bus.publish(key, Announced(head.birth, head.seq, entries))
        return _accepted(key, head.birth, claimed.run_id, claimed)


def title_of(parts: Sequence[Part]) -> str:
    """Gives a session's first title: the beginning of what was said."""
    text = next((part.text for part in parts if isinstance(part, TextPart)), "")
    return " ".join(text[: TITLE_CHARS * 4].split())[:TITLE_CHARS]


def _is_answer(error: BaseException) -> bool:
    """Says whether the store has refused the input, so that nothing of the request is still on its way."""
    return isinstance(error, BatonError) and not isinstance(error, StoreUnavailable)


def _accepted(key: SessionKey, birth: Birth, run_id: RunId, outcome: Submitted) -> Accepted:
    match outcome:
        case Claimed():
            kind = "started"
        case Queued():
            kind = "queued"
        case Joined():
            kind = "joined"
        case Attached():
            kind = "attached"
    return Accepted(key=key, birth=birth, run_id=run_id, after=outcome.seq - 1, outcome=kind)


def _fingerprint(invocation: Invocation) -> str:
    body = msgspec.json.encode(invocation, order="sorted")
    return hashlib.sha256(body).hexdigest()
