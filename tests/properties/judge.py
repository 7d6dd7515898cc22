"""The judge: holds every reply of the store against the ledger, looks into the log, and enters what it found."""

from typing import NamedTuple, assert_never

from msgspec.structs import replace

from app.core.errors import ClaimLost, IdempotencyMismatch, SessionBusy, SessionNotFound, Unseen
from app.core.ids import Birth, Incarnation
from app.core.keys import SessionKey
from app.core.records import Busy, InputSteered, RunStarted
from app.stores.base import Attached, Claimed, Committed, Joined, Queued, Submitted
from app.stores.bundle import Stores
from app.stores.head import Claim, Claimant, Submission
from app.testing.clock import ManualClock
from tests.properties.laws import check_log
from tests.properties.ledger import Answered, Facts, Given, Ledger, Verdict
from tests.properties.runner import Attempt

Refused = SessionBusy | IdempotencyMismatch | SessionNotFound


class Memory(NamedTuple):
    """The ledger at one tick."""

    tick: int
    logs: dict[SessionKey, Facts]
    tombstones: frozenset[tuple[SessionKey, Birth]]


class Judge:
    """Knows what is true of the store, and when it became so."""

    def __init__(self, stores: Stores, clock: ManualClock) -> None:
        self.stores = stores
        self.clock = clock
        self.ledger = Ledger()
        self.tick = 0

    async def enter(self, key: SessionKey, facts: Facts) -> Facts:
        """Enters what the log holds now. It must be what it held, and more, and keep the laws."""
        self.tick += 1
        self.clock.advance(0.001)
        log = await self.stores.sessions.read(key, after=0, limit=10_000)
        assert log.entries[: facts.seq] == facts.entries, "what was in the log has changed"
        grown = replace(facts, entries=log.entries)
        await check_log(self.stores, key, grown)
        self.ledger.logs[key] = grown
        return grown

    async def unchanged(self, key: SessionKey, facts: Facts | None) -> None:
        """Nothing was written."""
        if facts is not None:
            assert (await self.enter(key, facts)).seq == facts.seq, "something was written that must not be"

    def give(self, facts: Facts, claim: Claim, owner: Incarnation) -> Facts:
        """Gives the facts with a new claim in force. It must be above every one before it."""
        assert all(claim.epoch > before.epoch for before in facts.claims), f"{claim} does not rise above {facts.claims}"
        given = Given(claim, owner, self.tick + 1)
        return replace(facts, given=given, commits=0, claims=(*facts.claims, claim))

    async def submission(
        self, key: SessionKey, sent: Submission, claimant: Claimant | None, outcome: Submitted | Refused
    ) -> None:
        """Judges what became of an input."""
        facts = self.ledger.logs.get(key)
        known = facts.known(sent) if facts is not None else None
        before = facts or Facts(birth=sent.birth)
        if isinstance(outcome, Refused):
            self.refusal(key, before, known, sent, outcome)
            await self.unchanged(key, facts)
        elif known is not None:
            await self.repeat(key, before, known, sent, claimant, outcome)
        else:
            await self.input(key, before, sent, claimant, outcome)

    def refusal(
        self, key: SessionKey, facts: Facts, known: Submission | None, sent: Submission, error: Refused
    ) -> None:
        """An input is refused to its sender's face, and for a reason."""
        match error:
            case SessionBusy():
                assert known is None
                assert sent.policy is Busy.REJECT
                assert facts.status != "idle"
                assert error.run_id in {facts.shape.active, *facts.shape.queue}
            case IdempotencyMismatch():
                assert known is not None
                assert known.fingerprint != sent.fingerprint
            case SessionNotFound():
                assert (key, sent.birth) in self.ledger.tombstones
            case _:
                assert_never(error)

    async def repeat(
        self,
        key: SessionKey,
        facts: Facts,
        known: Submission,
        sent: Submission,
        claimant: Claimant | None,
        reply: Submitted,
    ) -> None:
        """A repeat writes nothing; the claim is told again to the claimant that has it, and to nobody else."""
        by_key = sent.idempotency_key is not None and known.idempotency_key == sent.idempotency_key
        assert known.fingerprint == sent.fingerprint or not by_key
        await self.unchanged(key, facts)
        if isinstance(reply, Claimed):
            assert claimant is not None
            assert facts.given is not None
            assert (facts.given.claim, facts.given.owner) == (reply.claim, claimant.incarnation)
            assert reply.claim.nonce == claimant.nonce
            assert facts.shape.active == reply.run_id == known.run_id
        else:
            assert isinstance(reply, Attached)
            steers = (e.record for e in facts.entries if isinstance(e.record, InputSteered))
            joined = {steer.run_id for steer in steers if steer.input_id == known.run_id}
            assert reply.run_id in (joined or {known.run_id})

    async def input(
        self, key: SessionKey, before: Facts, sent: Submission, claimant: Claimant | None, reply: Submitted
    ) -> None:
        """A new input joins, waits or claims, by its policy and by what the session was doing."""
        shape = before.shape
        steerable = shape.active is not None and not shape.cancelling
        facts = replace(before, inputs=(*before.inputs, sent))
        assert sent.policy is not Busy.REJECT or before.status == "idle"
        assert isinstance(reply, Joined) == (sent.policy is Busy.STEER and steerable)
        if isinstance(reply, Claimed):
            assert claimant is not None
            assert before.status == "idle"
            assert reply.claim.nonce == claimant.nonce
            assert reply.log.state().run is not None
            facts = self.give(facts, reply.claim, claimant.incarnation)
        elif isinstance(reply, Joined):
            assert reply.run_id == shape.active
        grown = await self.enter(key, facts)
        assert not isinstance(reply, Queued) or reply.ready == (grown.status == "ready")
        interrupts = sent.policy is Busy.INTERRUPT and steerable
        assert grown.shape.cancelling == (shape.cancelling or interrupts)

    async def commit(
        self,
        key: SessionKey,
        claim: Claim,
        owner: Incarnation,
        attempt: Attempt,
        outcome: Committed | ClaimLost | Unseen,
        verdict: Verdict,
    ) -> None:
        """Judges what became of a commit, of which the ledger had said what must."""
        before = self.ledger.logs.get(key)
        if isinstance(outcome, ClaimLost):
            assert type(outcome) is verdict, f"the store refused a commit that is {verdict}: {outcome!r}"
            await self.unchanged(key, before)
            return
        assert before is not None
        if isinstance(outcome, Unseen):
            assert verdict == "unseen", f"the store held up a commit that is {verdict}"
            assert tuple(outcome.entries) == before.entries[attempt.seen :]
            await self.unchanged(key, before)
        elif verdict == "repeat":
            assert before.answered is not None
            assert outcome == before.answered.reply, "a repeat got another answer"
            await self.unchanged(key, before)
        else:
            assert verdict == "accepted", f"the store accepted what it must refuse: {verdict}"
            await self.accepted(key, before, claim, owner, attempt, outcome)

    async def accepted(
        self, key: SessionKey, before: Facts, claim: Claim, owner: Incarnation, attempt: Attempt, done: Committed
    ) -> None:
        """An accepted commit is at the log's end, whole, and has given its claimant what it asked for."""
        facts = replace(before, commits=attempt.number, answered=Answered(claim, attempt.number, done, self.tick + 1))
        if attempt.release:
            facts = replace(facts, given=None, commits=0)
        if done.handed is not None:
            assert attempt.heir is not None
            assert done.handed.nonce == attempt.heir.nonce
            facts = self.give(facts, done.handed, owner)
        grown = await self.enter(key, facts)
        written = grown.entries[before.seq :]
        assert (done.unseen, done.written) == (before.entries[attempt.seen :], written)
        assert (done.seq, done.status) == (grown.seq, grown.status)
        assert tuple(entry.record for entry in written[: len(attempt.records)]) == attempt.records
        extra = [entry.record for entry in written[len(attempt.records) :]]
        assert all(isinstance(record, RunStarted) for record in extra)
        assert len(extra) == (done.handed is not None)

    def remember(self) -> Memory:
        """Gives what is true now, and will be true again after a loss of everything that comes."""
        return Memory(self.tick, dict(self.ledger.logs), frozenset(self.ledger.tombstones))

    def forget(self, memory: Memory) -> None:
        """Only what was remembered is true."""
        self.ledger.logs = dict(memory.logs)
        self.ledger.tombstones = set(memory.tombstones)
