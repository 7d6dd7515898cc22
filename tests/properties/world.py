"""Replicas, clients and one store: each act calls the store once and lets the judge look at what became of it.

Incarnations come and go. One that was declared dead stays in the world as a **ghost**: it may be a paused machine that
wakes up later, so its runners still try to commit, and its requests may still arrive. What a ghost takes is swept
again, because a burial is never forgotten here: a tombstone must outlive every request of its incarnation.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from app.core.errors import (
    ClaimLost,
    HeadMoved,
    IdempotencyMismatch,
    ReplicaDead,
    SessionBusy,
    SessionNotFound,
    Unseen,
)
from app.core.ids import AgentId, Birth, Incarnation, Nonce
from app.core.keys import SessionKey
from app.core.records import AnyRecord, SessionCreated
from app.stores.base import Claimed, Committed, Log, Position, Release, Submitted
from app.stores.bundle import Stores
from app.stores.head import Claim, Claimant, Submission
from app.testing.clock import ManualClock
from app.testing.ids import SequentialIds
from tests.properties.judge import Judge, Memory, Refused
from tests.properties.ledger import Facts
from tests.properties.runner import Attempt, Runner, Whim

AGENT = AgentId("agent")


@dataclass
class Replica:
    """One incarnation."""

    incarnation: Incarnation
    alive: bool = True
    runners: list[Runner] = field(default_factory=list[Runner])

    def held(self) -> frozenset[Nonce]:
        """Gives every nonce that it holds, or may have been given by a reply it still waits for."""
        waiting = (runner.pending.heir for runner in self.runners if runner.pending is not None)
        heirs = (heir.nonce for heir in waiting if heir is not None)
        return frozenset((*heirs, *(runner.claim.nonce for runner in self.runners)))


@dataclass
class Request:
    """A submission on its way, with the claimant that sent it; `answered` once a reply has reached its replica."""

    key: SessionKey
    submission: Submission
    replica: Replica | None
    claimant: Claimant | None
    answered: bool = False


class World:
    """Everybody, with the acts that change the store."""

    def __init__(self, stores: Stores, clock: ManualClock) -> None:
        self.stores = stores
        self.clock = clock
        self.ids = SequentialIds()
        self.judge = Judge(stores, clock)
        self.replicas: list[Replica] = []
        self.sent: list[Request] = []
        """Every request that was ever made, so that any may be made again."""

    @property
    def logs(self) -> dict[SessionKey, Facts]:
        """Gives what is true of each session that exists."""
        return self.judge.ledger.logs

    def claimant(self, replica: Replica) -> Claimant:
        nonce = Nonce(self.ids.token())
        return Claimant(incarnation=replica.incarnation, nonce=nonce, digests={AGENT: "digest"})

    async def join(self) -> Replica:
        """Another incarnation beats."""
        replica = Replica(Incarnation(self.ids.token()))
        await self.stores.replicas.beat(replica.incarnation)
        self.replicas.append(replica)
        return replica

    async def request(
        self, key: SessionKey, sent: Submission, replica: Replica | None, lost: bool, again: Request | None = None
    ) -> None:
        """A client's input arrives at a replica, which runs it if it gets the claim and hears of it.

        Only a request that was never answered is repeated under its first nonce.
        """
        if again is None or again.answered:
            again = Request(key, sent, replica, self.claimant(replica) if replica is not None else None)
        self.sent.append(again)
        outcome = await self.submit(key, sent, again.claimant)
        await self.judge.submission(key, sent, again.claimant, outcome)
        again.answered = again.answered or not lost
        if isinstance(outcome, Claimed) and again.replica is not None and not lost:
            self.start(again.replica, key, outcome.claim, outcome.log)

    async def submit(self, key: SessionKey, sent: Submission, claimant: Claimant | None) -> Submitted | Refused:
        try:
            return await self.stores.sessions.submit(key, sent, claimant)
        except (SessionBusy, IdempotencyMismatch, SessionNotFound) as refused:
            return refused

    async def advance(
        self, replica: Replica, runner: Runner, whim: Whim, inherits: bool, checkpoint: bool, lost: bool
    ) -> None:
        """The runner commits what it must, or what it feels like. With `lost`, the reply does not reach it."""
        heir = self.claimant(replica) if inherits else None
        attempt = runner.attempt(whim, heir, checkpoint, self.clock.now())
        verdict = self.judge.ledger.judge(runner.key, runner.claim, attempt.number, attempt.seen, attempt.release)
        misled = runner.misled and not isinstance(verdict, type)
        assert not misled, f"a commit is {verdict} although the store has lost what its runner was told"
        outcome = await self.commit(runner, attempt)
        await self.judge.commit(runner.key, runner.claim, replica.incarnation, attempt, outcome, verdict)
        if isinstance(outcome, ClaimLost):
            replica.runners.remove(runner)
        elif isinstance(outcome, Unseen):
            runner.refuse()
        elif not lost:
            self.answer(replica, runner, attempt, outcome)

    async def commit(self, runner: Runner, attempt: Attempt) -> Committed | ClaimLost | Unseen:
        release = Release(attempt.heir) if attempt.release else None
        try:
            return await self.stores.sessions.commit(
                runner.key, runner.claim, attempt.number, attempt.seen, attempt.records, release, attempt.checkpoint
            )
        except (ClaimLost, Unseen) as refused:
            return refused

    def answer(self, replica: Replica, runner: Runner, attempt: Attempt, done: Committed) -> None:
        """The reply reached the runner, which goes on, under the next run's claim too, or is done."""
        answered = self.logs[runner.key].answered
        assert answered is not None
        runner.succeed(done, answered.tick)
        if attempt.release and done.handed is None:
            replica.runners.remove(runner)

    async def take(self, replica: Replica, slots: int, forgets: bool, lost: bool) -> int:
        """The replica takes what is ready. With `forgets`, it lost track of its oldest runner, who lives on."""
        held = replica.held()
        if forgets and replica.runners:
            held -= {replica.runners[0].claim.nonce}
        taken = await self.stores.sessions.take(self.claimant(replica), slots, held)
        assert len(taken) <= slots
        for one in taken:
            may = self.judge.ledger.may_take(one.key, replica.incarnation, held)
            assert may, "a session in good hands was taken"
            await self.judge.enter(one.key, self.judge.give(self.logs[one.key], one.claim, replica.incarnation))
            assert one.log.state() == (await self.stores.sessions.read(one.key)).state()
            if not lost:
                self.start(replica, one.key, one.claim, one.log)
        return len(taken)

    def start(self, replica: Replica, key: SessionKey, claim: Claim, log: Log) -> None:
        """The claim reached its replica, which begins to run."""
        given = self.logs[key].given
        assert given is not None
        replica.runners.append(Runner(key, claim, log, given.tick))

    async def expire(self, replica: Replica, limit: int) -> None:
        """The replica is declared dead, and up to `limit` of its sessions are swept; it lives on as a ghost."""
        await self.beat(replica)
        replica.alive = False
        beats = {beat.incarnation: beat for beat in await self.stores.replicas.live()}
        if replica.incarnation in beats:
            assert await self.stores.replicas.bury(beats[replica.incarnation])
        owned = self.judge.ledger.owned_by(replica.incarnation)
        swept = await self.stores.sessions.sweep(replica.incarnation, limit)
        assert swept == min(limit, len(owned)), "the sweep left what it should free, or freed what it should leave"
        heads = await self.stores.heads.peek(owned)
        free = [key for key in owned if heads[key].owner is None]
        assert len(free) == swept
        for key in free:
            await self.judge.enter(key, replace(self.logs[key], given=None, commits=0))

    async def beat(self, replica: Replica) -> None:
        """Whoever acts also beats: the store knows the incarnation, as living or as dead."""
        try:
            await self.stores.replicas.beat(replica.incarnation)
        except ReplicaDead:
            replica.alive = False

    async def append(self, key: SessionKey, record: AnyRecord, behind: bool) -> None:
        """Somebody outside appends a record, to the log as it is or (`behind`) as it was."""
        facts = self.logs[key]
        if behind and facts.seq > 1:
            refused = await self.compare_and_set(key, Position(facts.birth, facts.seq - 1), record)
            assert refused, "a compare-and-set on an older head was accepted"
            await self.judge.unchanged(key, facts)
            return
        assert not await self.compare_and_set(key, Position(facts.birth, facts.seq), record)
        grown = await self.judge.enter(key, facts)
        assert [entry.record for entry in grown.entries[facts.seq :]] == [record]

    async def compare_and_set(self, key: SessionKey, expected: Position, record: AnyRecord) -> bool:
        """Gives whether the append was refused."""
        try:
            await self.stores.sessions.append(key, expected, [record])
        except HeadMoved:
            return True
        return False

    async def create(self, key: SessionKey) -> None:
        """Somebody creates an empty session, and asks for it twice."""
        born = Position(Birth(self.ids.token()), 0)
        record = SessionCreated(at=self.clock.now(), title="empty")
        first = await self.stores.sessions.append(key, born, [record])
        assert await self.stores.sessions.append(key, born, [record]) == first
        await self.judge.enter(key, Facts(birth=born.birth))

    async def delete(self, key: SessionKey) -> None:
        """The session is gone, and so is the place its readers knew."""
        await self.stores.sessions.delete(key)
        self.judge.ledger.tombstones.add((key, self.logs.pop(key).birth))
        assert await self.stores.heads.peek([key]) == {}

    async def lose(self, memory: Memory) -> None:
        """The store has lost all that came after; whoever was told of it does not know yet."""
        self.judge.forget(memory)
        for replica in self.replicas:
            for runner in replica.runners:
                runner.misled = runner.misled or runner.learned_at > memory.tick
            if replica.alive:
                await self.beat(replica)
