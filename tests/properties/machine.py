"""The state machine: what may happen to sessions, in any order hypothesis can think of."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Literal, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from app.core.ids import Birth, SessionId, TenantId, UserId
from app.core.keys import SessionKey, new_run_id
from app.core.messages import TextPart
from app.core.records import Busy, InputWithdrawn, RunCancelRequested, StatePatched
from app.stores.head import Submission
from app.testing.clock import ManualClock
from tests.contracts.backends import Backend
from tests.properties.judge import Memory
from tests.properties.quiet import approve, settle
from tests.properties.runner import WHIMS, Runner, Whim
from tests.properties.world import AGENT, Replica, World

T = TypeVar("T")
KEYS = [
    SessionKey(TenantId(tenant), UserId("user"), AGENT, SessionId(session))
    for tenant, session in (("acme", "one"), ("acme", "two"), ("umbrella", "one"))
]
REPLICAS = 4
"""Incarnations that are alive at once, at the most."""

Act = Literal["cancel", "rename", "withdraw", "decide", "delete"]
ACTS: tuple[Act, ...] = ("cancel", "cancel", "rename", "rename", "withdraw", "decide", "delete")

keys = st.sampled_from(KEYS)
anyone = st.integers(0, 11)
"""Which of those there are; counted round."""
rarely = st.integers(0, 3).map(lambda n: n == 3)
mostly = st.integers(0, 3).map(lambda n: n != 3)
whims = st.sampled_from(WHIMS)
policies = st.sampled_from([Busy.ENQUEUE, Busy.ENQUEUE, Busy.STEER, Busy.STEER, Busy.INTERRUPT, Busy.REJECT])
idempotency_keys = st.sampled_from([None, None, "morning", "evening"])
fingerprints = st.sampled_from(["a", "a", "a", "b"])


class Sessions(RuleBasedStateMachine):
    """Clients, runners, replicas and calamities over one backend."""

    backend: ClassVar[type[Backend]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.open = AsyncExitStack()
        self.failed = False
        self.clock = ManualClock()
        self.memory: Memory | None = None
        self.stored = self.backend()
        self.world = World(self.run(self.open.enter_async_context(self.stored.open(self.clock))), self.clock)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Lets the act happen to its end."""
        try:
            return self.loop.run(act)
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.run(settle(self.world))
        finally:
            self.loop.run(self.open.aclose())
            self.loop.close()

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.run(self.world.join())

    def replica(self, who: int) -> Replica:
        return self.world.replicas[who % len(self.world.replicas)]

    def submission(self, key: SessionKey, policy: Busy, idempotency: str | None) -> Submission:
        run = new_run_id(key, self.world.ids)
        return Submission(
            run_id=run,
            input=(TextPart(text=f"input of {run}"),),
            birth=Birth(self.world.ids.token()),
            policy=policy,
            idempotency_key=idempotency,
            fingerprint="a",
        )

    # Clients

    @rule(key=keys, policy=policies, who=anyone, claims=mostly, lost=rarely, idempotency=idempotency_keys)
    def submit(
        self, key: SessionKey, policy: Busy, who: int, claims: bool, lost: bool, idempotency: str | None
    ) -> None:
        submission = self.submission(key, policy, idempotency)
        self.run(self.world.request(key, submission, self.replica(who) if claims else None, lost))

    @rule(key=keys, who=anyone)
    def recreate(self, key: SessionKey, who: int) -> None:
        """The session is deleted, and there is another one under its key before anybody looks."""
        if key in self.world.logs:
            self.run(self.world.delete(key))
        self.run(self.world.request(key, self.submission(key, Busy.ENQUEUE, None), self.replica(who), lost=False))

    @precondition(lambda self: self.world.sent)
    @rule(which=anyone, who=anyone, same=st.booleans(), fingerprint=fingerprints, lost=rarely)
    def submit_again(self, which: int, who: int, same: bool, fingerprint: str, lost: bool) -> None:
        """The same run id, or the same idempotency key under another; the same body, or another."""
        earlier = self.world.sent[-1 - which % len(self.world.sent)]
        policy, idempotency = earlier.submission.policy, earlier.submission.idempotency_key
        base = earlier.submission if same else self.submission(earlier.key, policy, idempotency)
        again = replace(base, fingerprint=fingerprint)
        repeats = earlier if again == earlier.submission else None
        self.run(self.world.request(earlier.key, again, self.replica(who), lost, repeats))

    @rule(key=keys, act=st.sampled_from(ACTS), behind=rarely)
    def outside(self, key: SessionKey, act: Act, behind: bool) -> None:
        """Somebody who owns nothing writes to the session, as it is or as it was, or deletes it."""
        if key in self.world.logs:
            self.run(self.write(key, act, behind))
        elif act == "delete":
            self.run(self.world.create(key))

    async def write(self, key: SessionKey, act: Act, behind: bool) -> None:
        shape, now = self.world.logs[key].shape, self.clock.now()
        if act == "delete":
            await self.world.delete(key)
        elif act == "rename":
            await self.world.append(key, StatePatched(at=now, title=f"title {self.world.judge.tick}"), behind)
        elif act == "withdraw" and shape.queue:
            await self.world.append(key, InputWithdrawn(at=now, run_id=shape.queue[-1]), behind)
        elif act == "decide" and shape.active is not None:
            await approve(self.world, key)
        elif act == "cancel" and shape.active is not None:
            await self.world.append(key, RunCancelRequested(at=now, run_id=shape.active), behind)

    # Replicas

    def runners(self, alive: bool) -> list[tuple[Replica, Runner]]:
        return [(one, runner) for one in self.world.replicas if one.alive == alive for runner in one.runners]

    @precondition(lambda self: self.runners(alive=True))
    @rule(which=anyone, whim=whims, inherits=mostly, checkpoint=st.booleans(), lost=rarely)
    def advance(self, which: int, whim: Whim, inherits: bool, checkpoint: bool, lost: bool) -> None:
        some = self.runners(alive=True)
        self.run(self.world.advance(*some[which % len(some)], whim, inherits, checkpoint, lost))

    @precondition(lambda self: self.runners(alive=True))
    @rule(which=anyone, times=st.integers(1, 4))
    def work(self, which: int, times: int) -> None:
        """The same runner, undisturbed, on its way to the end."""
        some = self.runners(alive=True)
        replica, runner = some[which % len(some)]
        for _ in range(times):
            if runner in replica.runners:
                self.run(self.world.advance(replica, runner, "finish", inherits=True, checkpoint=True, lost=False))

    @precondition(lambda self: self.runners(alive=False))
    @rule(which=anyone, whim=whims)
    def haunt(self, which: int, whim: Whim) -> None:
        some = self.runners(alive=False)
        self.run(self.world.advance(*some[which % len(some)], whim, inherits=True, checkpoint=True, lost=False))

    @rule(who=anyone, slots=st.integers(1, 2), forgets=rarely, lost=rarely)
    def take(self, who: int, slots: int, forgets: bool, lost: bool) -> None:
        self.run(self.world.take(self.replica(who), slots, forgets, lost))

    @rule(who=anyone, limit=st.integers(1, 2), sure=rarely)
    def expire(self, who: int, limit: int, sure: bool) -> None:
        if sure:
            self.run(self.world.expire(self.replica(who), limit))

    @precondition(lambda self: sum(one.alive for one in self.world.replicas) < REPLICAS)
    @rule()
    def join(self) -> None:
        self.run(self.world.join())

    # Calamities

    @precondition(lambda self: self.memory is None)
    @rule()
    def mark(self) -> None:
        """What is written from here on may be lost."""
        self.stored.mark()
        self.memory = self.world.judge.remember()

    @precondition(lambda self: self.memory is not None)
    @rule(sure=rarely)
    def lose(self, sure: bool) -> None:
        """The newest writes are gone, as after a failover to a store that lagged behind."""
        if self.memory is not None and sure:
            self.stored.rewind()
            self.run(self.world.lose(self.memory))
            self.memory = None

    @rule(act=st.sampled_from(["submit", "take", "advance"]), key=keys, which=anyone, whim=whims)
    def lose_an_act(self, act: str, key: SessionKey, which: int, whim: Whim) -> None:
        """What one replica did is acknowledged and lost; it has yet to find out."""
        some = self.runners(alive=True)
        self.stored.mark()
        memory, self.memory = self.world.judge.remember(), None
        if act == "advance" and some:
            self.run(self.world.advance(*some[which % len(some)], whim, inherits=True, checkpoint=True, lost=False))
        elif act == "take":
            self.run(self.world.take(self.replica(which), slots=1, forgets=False, lost=False))
        else:
            self.run(self.world.request(key, self.submission(key, Busy.STEER, None), self.replica(which), lost=False))
        self.stored.rewind()
        self.run(self.world.lose(memory))


def machine_over(over: type[Backend]) -> type[Sessions]:
    """Gives the machine over that backend; each example gets a fresh one."""

    class SessionsOver(Sessions):
        backend = over

    return SessionsOver
