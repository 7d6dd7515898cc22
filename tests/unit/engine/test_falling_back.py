"""A store that lost its last writes: followers are told on the same connection, and shown what is there now."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.clock import SystemClock
from app.core.ids import SessionId
from app.engine.stream import Stream
from app.stores.bundle import Stores
from app.stores.bus import Announced
from tests.contracts.backend_memory import MemoryBackend
from tests.support.puppet import Piece, Puppet
from tests.support.replica import AGENT, WHO, Replica, key_of, replica
from tests.support.viewer import Viewer

KEY = key_of("s1")


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def stores(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Stores, None]:
    monkeypatch.setattr("app.engine.broadcast.TICK_SECONDS", 0.05)
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.05)
    async with backend.open(SystemClock()) as opened:
        yield opened


async def read_until(frames: AsyncGenerator[bytes, None], seen: Viewer, name: str, count: int = 1) -> None:
    """The viewer was shown that many events of that name."""
    async with asyncio.timeout(5):
        while seen.names.count(name) < count:
            seen.feed(await anext(frames))


async def read_some_text(frames: AsyncGenerator[bytes, None], seen: Viewer) -> None:
    """The viewer was shown text of an open item."""
    async with asyncio.timeout(5):
        while not seen.texts:
            seen.feed(await anext(frames))


async def session_stream(server: Replica) -> Stream:
    return await server.engine.follow_session(WHO, AGENT, SessionId("s1"), None)


async def test_an_idle_session_that_lost_a_turn(stores: Stores, backend: MemoryBackend, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        await server.ask("one")
        seen = Viewer(whole_session=True)
        async with aclosing((await session_stream(server)).frames()) as frames:
            await read_until(frames, seen, "run.finished")
            backend.mark()
            kept = seen.records[-1]["seq"]
            await server.ask("two")
            await read_until(frames, seen, "run.finished", 2)
            backend.rewind()
            await read_until(frames, seen, "reset")
            assert [record["seq"] for record in seen.records] == list(range(1, kept + 1))
            await server.ask("three")
            await read_until(frames, seen, "run.finished", 3)
        said = [part["text"] for record in seen.of_type("run.queued") for part in record["input"]]
        assert said == ["one", "three"]
        assert seen.names.count("reset") == 1
        assert server.engine._broadcast.resets == 1


async def test_a_runner_whose_commits_were_lost_goes_on_and_its_followers_with_it(
    stores: Stores, backend: MemoryBackend, tmp_path: Path
) -> None:
    """The next claim's announcement says it at once: nobody waits for the bulk read."""
    first, second = asyncio.Event(), asyncio.Event()
    words: list[Piece] = ["half ", first, "an ", second, "answer"]
    async with replica(stores, Puppet(words), tmp_path) as server:
        accepted = await server.say("go")
        seen, whole = Viewer(), Viewer(whole_session=True)
        one = await server.engine.follow_run(WHO, accepted.run_id, None)
        async with aclosing(one.frames()) as mine, aclosing((await session_stream(server)).frames()) as all_of_it:
            await read_some_text(mine, seen)
            await read_some_text(all_of_it, whole)
            backend.mark()
            await server.say("later")
            await read_until(all_of_it, whole, "run.queued", 2)
            first.set()
            backend.rewind()
            second.set()
            async with asyncio.timeout(5):
                async for data in mine:
                    seen.feed(data)
            await read_until(all_of_it, whole, "run.finished")
    assert seen.status == whole.status == "completed"
    assert "reset" in whole.names
    assert len(whole.of_type("run.queued")) == 1


async def test_a_run_that_is_lost_ends_its_stream(stores: Stores, backend: MemoryBackend, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a", asyncio.Event()]), tmp_path) as server:
        await server.engine.create_session(WHO, AGENT, SessionId("s1"), "", {})
        backend.mark()
        accepted = await server.say("go")
        seen = Viewer()
        async with aclosing((await server.engine.follow_accepted(accepted)).frames()) as frames:
            await read_until(frames, seen, "delta")
            backend.rewind()
            async with asyncio.timeout(5):
                async for data in frames:
                    seen.feed(data)
    assert seen.names[-1] == "reset"
    assert not seen.of_type("run.finished")


async def test_a_follower_that_joins_tells_those_who_are_there(
    stores: Stores, backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.broadcast.TICK_SECONDS", 60.0)
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        await server.ask("one")
        backend.mark()
        await server.ask("two")
        seen, later = Viewer(whole_session=True), Viewer(whole_session=True)
        async with aclosing((await session_stream(server)).frames()) as frames:
            await read_until(frames, seen, "run.finished", 2)
            backend.rewind()
            async with aclosing((await session_stream(server)).frames()) as others:
                await read_until(others, later, "run.finished")
                await read_until(frames, seen, "reset")
    assert seen.records == later.records


async def test_an_announcement_that_was_late_is_no_loss(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        accepted = await server.say("one")
        seen = Viewer(whole_session=True)
        async with aclosing((await session_stream(server)).frames()) as frames:
            await read_until(frames, seen, "run.finished")
            stores.bus.publish(KEY, Announced(accepted.birth, 1))
            await server.ask("two")
            await read_until(frames, seen, "run.finished", 2)
    assert "reset" not in seen.names
