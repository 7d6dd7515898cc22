"""Checkpoints are a short cut and nothing else: with them, without, or with another fold's, the state is the same."""

import pytest

from app.core.fold import fold
from app.core.ids import Birth, Incarnation, Nonce, SessionId, TenantId, UserId
from app.core.keys import SessionKey, new_run_id
from app.core.messages import TextPart
from app.core.state import FOLD_VERSION, AgentState
from app.stores.base import CHECKPOINTS_KEPT, Claimed
from app.stores.bundle import Stores
from app.stores.head import Claimant, Submission
from app.testing.clock import ManualClock
from tests.contracts.backends import BACKENDS, Backend
from tests.properties.runner import Runner
from tests.properties.world import AGENT, Replica, World

KEY = SessionKey(TenantId("acme"), UserId("user"), AGENT, SessionId("one"))


async def converse(stores: Stores, clock: ManualClock, steps: int) -> None:
    """Runs one run for that many steps, with a checkpoint at each."""
    world = World(stores, clock)
    replica = Replica(Incarnation("one"))
    sent = Submission(run_id=new_run_id(KEY, world.ids), input=(TextPart(text="hello"),), birth=Birth("birth"))
    claimant = Claimant(incarnation=replica.incarnation, nonce=Nonce("nonce"), digests={AGENT: "digest"})
    reply = await stores.sessions.submit(KEY, sent, claimant)
    assert isinstance(reply, Claimed)
    await world.judge.submission(KEY, sent, claimant, reply)
    runner = Runner(KEY, reply.claim, reply.log, 0)
    for _ in range(steps):
        await world.advance(replica, runner, "tools", inherits=False, checkpoint=True, lost=False)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_checkpoint_of_another_fold_version_is_ignored(backend: type[Backend]) -> None:
    stored, clock = backend(), ManualClock()
    async with stored.open(clock) as stores:
        await converse(stores, clock, steps=7)
        now = await stores.sessions.read(KEY)
    async with stored.open(clock, fold_version=FOLD_VERSION + 1) as stores:
        newer = await stores.sessions.read(KEY)
    assert now.checkpoint is not None
    assert newer.checkpoint is None
    assert len(newer.entries) == newer.head.seq
    assert now.state() == newer.state() == fold(AgentState(), newer.entries)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_load_reads_a_bounded_tail_and_old_checkpoints_go(backend: type[Backend]) -> None:
    stored, clock = backend(), ManualClock()
    async with stored.open(clock) as stores:
        await converse(stores, clock, steps=12)
        log = await stores.sessions.read(KEY)
    assert log.entries == ()
    kept = stored.footprint(KEY).checkpoints
    assert len(kept) == CHECKPOINTS_KEPT
    assert max(kept) == log.head.seq
