"""What is asked of one replica takes effect on the other, and at once: nobody waits for a look every two seconds."""

import asyncio
from secrets import token_hex

import pytest

from tests.e2e.replicas.fleet import STORY, Fleet, Reader, events_of, shown

pytestmark = pytest.mark.asyncio(loop_scope="package")

AT_ONCE = 1.0
"""Seconds; half of what somebody needs who was told nothing."""


def a_session() -> str:
    return f"s-{token_hex(8)}"


def path_of(session: str) -> str:
    return f"/v1/agents/assistant/sessions/{session}"


async def test_a_cancel_stops_the_run_at_once(whole: Fleet) -> None:
    here, there = whole.clients
    async with asyncio.TaskGroup() as group:
        story = Reader(group).post(here, STORY)
        await story.until(shown(5))
        assert (await there.post(f"/v1/runs/{story.run}/cancel")).status == 200
        await story.over(AT_ONCE)
        assert story.viewer.status == "cancelled"


async def test_who_follows_an_idle_session_hears_of_a_run_at_once(whole: Fleet) -> None:
    here, there = whole.clients
    session = a_session()
    await here.post("/v1/agents/assistant/sessions", json={"session_id": session})
    async with asyncio.TaskGroup() as group:
        reader = Reader(group)
        following = reader.follow(there, f"{path_of(session)}/events")
        await following.until(shown(1))
        for turn in (1, 2):
            run = await here.post(f"{path_of(session)}/runs", json={"input": "hello", "background": True})
            assert run.status == 202
            await following.until(lambda it, turn=turn: it.types.count("run.queued") == turn, AT_ONCE)
            await following.until(lambda it, turn=turn: it.types.count("run.finished") == turn)
        assert {"gap", "reset"}.isdisjoint(following.viewer.names)
        await here.delete(path_of(session))
        await following.over(AT_ONCE)


async def test_a_repeated_post_is_the_same_run_during_it_and_after(whole: Fleet) -> None:
    here, there = whole.clients
    key = {"Idempotency-Key": token_hex(8)}
    async with asyncio.TaskGroup() as group:
        reader = Reader(group)
        first = reader.post(here, STORY, key)
        await first.until(shown(5))
        second = reader.post(there, STORY, key)
        await asyncio.gather(first.over(), second.over())
        third = reader.post(there, STORY, key)
        await third.over()
        assert first.run == second.run == third.run
        assert first.types == second.types == third.types


async def test_every_policy_works_from_the_other_replica(whole: Fleet) -> None:
    here, there = whole.clients
    session = a_session()
    async with asyncio.TaskGroup() as group:
        reader = Reader(group)
        story = reader.post(here, STORY, session_id=session)
        await story.until(shown(5))
        body = {"input": "hello", "session_id": session}
        refused = await there.post("/v1/chat", json={**body, "on_busy": "reject"})
        assert (refused.status, refused.code, refused.json["run_id"]) == (409, "session_busy", story.run)
        steering = await there.post("/v1/chat", json={**body, "on_busy": "steer", "background": True})
        assert steering.json["run_id"] == story.run
        queued = reader.post(there, "hello", session_id=session)
        await queued.until(shown(1))
        assert queued.types == ["run.queued"]
        last = reader.post(there, "hello", session_id=session, on_busy="interrupt")
        await story.over(AT_ONCE)
        assert story.viewer.status == "cancelled"
        assert "input.steered" in story.types
        await asyncio.gather(queued.over(), last.over())
        assert (queued.viewer.status, last.viewer.status) == ("completed", "completed")


async def test_a_session_that_is_deleted_ends_its_streams_everywhere(whole: Fleet) -> None:
    here, there = whole.clients
    session = a_session()
    async with asyncio.TaskGroup() as group:
        reader = Reader(group)
        story = reader.post(here, STORY, session_id=session)
        await story.until(shown(5))
        following = reader.follow(there, events_of(story.run))
        await following.until(shown(3))
        assert (await there.delete(path_of(session))).status == 204
        await asyncio.gather(story.over(AT_ONCE), following.over(AT_ONCE))
        assert (await here.get(events_of(story.run))).code == "run_not_found"


async def test_text_comes_through_the_balancer_as_it_is_written(whole: Fleet) -> None:
    """The answer takes the model 0.18 s; a balancer that gathers small frames gives all of them at its end."""
    async with asyncio.TaskGroup() as group:
        quick = Reader(group).post(whole.balancer, "hello")
        await quick.over()
        assert quick.moments[-1] - quick.moments[0] > 0.08


async def test_sixty_chats_at_once_wait_for_each_other_and_all_are_answered(whole: Fleet) -> None:
    async with asyncio.TaskGroup() as group:
        reader = Reader(group)
        chats = [reader.post(whole.balancer, "hello") for _ in range(60)]
        await asyncio.gather(*(chat.over() for chat in chats))
        assert {chat.viewer.status for chat in chats} == {"completed"}
