"""A store that forgot what it had acknowledged, step by step: each way in which a runner can have learned it."""

from collections.abc import AsyncGenerator

import pytest

from app.core.ids import Birth, RunId, SessionId, TenantId, UserId
from app.core.keys import DIGEST_CHARS, SessionKey
from app.core.messages import TextPart
from app.core.records import Busy, StatePatched
from app.stores.head import Submission
from app.testing.clock import ManualClock
from tests.contracts.backends import BACKENDS, Backend
from tests.properties.quiet import settle
from tests.properties.world import AGENT, Replica, World

KEY = SessionKey(TenantId("acme"), UserId("user"), AGENT, SessionId("one"))


class Story:
    """One session that one replica runs, in a store that can forget."""

    def __init__(self, stored: Backend, world: World, replica: Replica) -> None:
        self.stored = stored
        self.world = world
        self.replica = replica

    async def say(self, name: str, policy: Busy = Busy.ENQUEUE, lost: bool = False) -> None:
        sent = Submission(
            run_id=RunId(f"run_{KEY.digest()[:DIGEST_CHARS]}_{name}"),
            input=(TextPart(text=name),),
            birth=Birth(f"birth of {name}"),
            policy=policy,
        )
        again = next((request for request in self.world.sent if request.submission == sent), None)
        await self.world.request(KEY, sent, self.replica, lost, again)

    async def step(self, lost: bool = False) -> None:
        runner = self.replica.runners[0]
        await self.world.advance(self.replica, runner, "finish", inherits=False, checkpoint=True, lost=lost)

    async def rename(self) -> None:
        await self.world.append(KEY, StatePatched(at=self.world.clock.now(), title="renamed"), behind=False)

    def mark(self) -> None:
        self.stored.mark()
        self.memory = self.world.judge.remember()

    async def lose(self) -> None:
        self.stored.rewind()
        await self.world.lose(self.memory)


@pytest.fixture(params=BACKENDS)
async def story(request: pytest.FixtureRequest) -> AsyncGenerator[Story, None]:
    clock, stored = ManualClock(), request.param()
    async with stored.open(clock) as stores:
        world = World(stores, clock)
        yield Story(stored, world, await world.join())
        await settle(world)


async def test_a_lost_commit_stops_its_runner_even_if_the_log_has_grown_again(story: Story) -> None:
    await story.say("first")
    story.mark()
    await story.world.advance(story.replica, story.replica.runners[0], "answer", False, True, lost=False)
    await story.lose()
    await story.rename()
    await story.step()
    assert story.replica.runners == [], "its next commit was refused"


async def test_an_input_that_only_a_refused_release_has_shown_may_be_lost(story: Story) -> None:
    await story.say("first")
    story.mark()
    await story.say("second", Busy.STEER)
    await story.step()
    assert story.replica.runners[0].refused
    await story.lose()
    await story.rename()
    await story.step()
    assert "second" not in str(story.replica.runners[0].state), "what the log lost, its runner does not know either"


async def test_an_input_that_came_after_a_claim_whose_reply_was_lost_may_be_lost(story: Story) -> None:
    await story.say("first", lost=True)
    story.mark()
    await story.say("second", Busy.STEER)
    await story.say("first")
    await story.lose()
    await story.rename()
    await story.step()
    assert story.replica.runners == [], "the run was answered, without the input that is gone"


async def test_a_lost_claim_is_void_though_the_next_one_has_its_epoch(story: Story) -> None:
    story.mark()
    await story.say("first")
    await story.lose()
    await story.say("second")
    old, new = story.replica.runners
    assert (old.claim.epoch, old.commits) == (new.claim.epoch, new.commits)
    await story.step()
    assert story.replica.runners == [new]


async def test_an_answered_input_is_answered_again_after_its_answer_was_lost(story: Story) -> None:
    await story.say("first")
    story.mark()
    await story.step()
    assert story.world.logs[KEY].status == "idle"
    await story.lose()
    assert story.world.logs[KEY].status == "owned", "by a claim that nobody holds: the next take finds it"
