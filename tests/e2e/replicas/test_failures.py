"""What a client sees while replicas and stores fail: a pause, sometimes a step back, and all of it in the end."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

from aiohttp import ClientSession

from tests.e2e.replicas.fleet import SECONDS, STORY, Fleet, Reader, events_of, fleet, shown
from tests.support.http import Client
from tests.support.services import postgres, redis
from tests.support.viewer import Viewer
from tests.torture.witness import Witness

LEASE_SECONDS = 4.0


async def seasoned() -> None:
    """Nobody declares another dead before a full lease of heartbeats of its own."""
    await asyncio.sleep(LEASE_SECONDS + 1)


async def eventually(holds: Callable[[], bool]) -> None:
    """Returns once it holds."""
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.02)


async def readiness(client: Client, status: int) -> None:
    """Returns once the replica answers a balancer with that status."""
    async with asyncio.timeout(SECONDS):
        while (await client.get("/readyz")).status != status:
            await asyncio.sleep(0.05)


def forgiving() -> Viewer:
    """Gives a viewer that knows of a fault: the last deltas before a record may be lost, for it has all of them."""
    return Witness(lambda _: True, whole_session=False)


def lines_of(fleet: Fleet, number: int) -> list[dict[str, str]]:
    """Gives what that replica logged."""
    return [json.loads(line) for line in fleet.replicas[number].stderr.splitlines()]


async def test_a_killed_replicas_run_goes_on_for_who_repeats_the_post(tmp_path: Path) -> None:
    with redis.running(**redis.DURABLE) as server:
        async with fleet(tmp_path, server.url()) as some, asyncio.TaskGroup() as group:
            reader = Reader(group)
            await seasoned()
            key = {"Idempotency-Key": "once"}
            story = reader.post(some.clients[0], STORY, key)
            await story.until(shown(8))
            some.replicas[0].kill()
            await story.over()
            killed = monotonic()
            again = reader.follow(some.balancer, events_of(story.run), story.viewer)
            await again.over()
            assert monotonic() - killed < 3 * LEASE_SECONDS
            assert again.types == ["run.queued", "run.started", "run.resumed", "message.appended", "run.finished"]
            repeated = reader.post(some.balancer, STORY, key)
            await repeated.over()
            assert repeated.viewer.records == again.viewer.records
            (line,) = [line for line in lines_of(some, 1) if line["message"] == "the run goes on"]
            assert (line["run_id"], line["reason"]) == (story.run, "takeover")


async def test_a_drained_replica_hands_over_its_run_and_sends_its_readers_away(tmp_path: Path) -> None:
    database = postgres.postgres().database()
    async with fleet(tmp_path, database.url, BATON_DRAIN_GRACE="0.2") as some, asyncio.TaskGroup() as group:
        reader = Reader(group)
        story = reader.post(some.clients[0], STORY)
        await story.until(shown(8))
        following = reader.follow(some.clients[1], events_of(story.run))
        some.replicas[0].send(signal.SIGTERM)
        await story.over(3.0)
        await eventually(lambda: not some.replicas[0].is_running())
        again = reader.follow(some.balancer, events_of(story.run), story.viewer)
        await asyncio.gather(again.over(), following.over())
        for seen in (again.viewer, following.viewer):
            assert [record["reason"] for record in seen.of_type("run.resumed")] == ["handover"]
            assert seen.status == "completed"


async def test_a_store_that_hangs_costs_nobody_anything_but_time(tmp_path: Path) -> None:
    with redis.running(**redis.DURABLE) as server:
        async with fleet(tmp_path, server.url()) as some, asyncio.TaskGroup() as group:
            reader = Reader(group)
            story = reader.post(some.clients[0], STORY)
            await story.until(shown(8))
            following = reader.follow(some.clients[1], events_of(story.run), forgiving())
            await following.until(shown(4))
            server.pause()
            await asyncio.gather(*(readiness(client, 503) for client in some.clients))
            server.resume()
            await asyncio.gather(*(readiness(client, 200) for client in some.clients))
            await asyncio.gather(story.over(), following.over())
            assert (story.viewer.status, following.viewer.status) == ("completed", "completed")
            assert "reset" not in following.viewer.names
            assert all(replica.is_running() for replica in some.replicas)


async def test_a_store_that_starts_anew_finds_everybody_where_they_were(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres.running(durable=True))
        some = await stack.enter_async_context(fleet(tmp_path, server.database().url))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        reader = Reader(group)
        story = reader.post(some.clients[0], STORY)
        await story.until(shown(8))
        following = reader.follow(some.clients[1], events_of(story.run), forgiving())
        await following.until(shown(4))
        server.kill()
        answer = await some.clients[1].post("/v1/chat", json={"input": "hello"})
        assert (answer.status, answer.code) == (503, "store_unavailable")
        await asyncio.to_thread(server.start)
        await asyncio.gather(story.over(), following.over())
        assert (story.viewer.status, following.viewer.status) == ("completed", "completed")
        assert story.viewer.of_type("run.resumed") == []
        assert [line for line in lines_of(some, 1) if "exception" in line and line["logger"].startswith("app.")] == []


async def test_sixty_chats_share_two_connections(tmp_path: Path) -> None:
    with redis.running() as server:
        async with fleet(tmp_path, server.url(), BATON_STORE_POOL="2", BATON_MAX_RUNS="8") as some:
            async with asyncio.TaskGroup() as group:
                reader = Reader(group)
                chats = [reader.post(some.balancer, "hello") for _ in range(60)]
                await asyncio.gather(*(chat.over() for chat in chats))
                assert {chat.viewer.status for chat in chats} == {"completed"}
            async with ClientSession() as http, http.get(f"{some.replicas[0].url}/metrics") as response:
                assert "baton_slots_taken 0.0" in await response.text()
