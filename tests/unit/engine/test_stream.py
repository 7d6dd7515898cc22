"""Followers: whoever joins, leaves and comes back, at any moment, sees every record once and every item whole."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.auth.base import Principal
from app.core.errors import BadCursor, RunNotFound
from app.core.ids import SessionId, TenantId, UserId
from app.core.records import Busy
from app.engine.stream import Stream
from app.stores.bundle import Stores
from tests.support.puppet import Call, Puppet, Thought
from tests.support.replica import AGENT, WHO, replica
from tests.support.tools import TalkingTool
from tests.support.viewer import Viewer, view

SESSION = SessionId("s1")


class Pulse:
    """Gates that open one after the other: the next one when the viewer was shown what the last one let through."""

    def __init__(self, count: int) -> None:
        self.gates = [asyncio.Event() for _ in range(count)]
        self._shown = 0

    def open(self) -> None:
        """The next gate is open."""
        for gate in self.gates:
            if not gate.is_set():
                gate.set()
                return

    def follow(self, viewer: Viewer) -> None:
        """The next gate is open if the viewer has seen something new."""
        shown = sum(map(len, viewer.texts.values())) + 1000 * len(viewer.records)
        if shown != self._shown:
            self._shown = shown
            self.open()


async def read_some(stream: Stream, viewer: Viewer, reads: int, pulse: Pulse | None = None) -> bool:
    """Feeds that many reads, with one more gate open before each; says whether the stream, or the run, ended."""
    viewer.reconnect()
    async with aclosing(stream.frames()) as frames:
        for _ in range(reads):
            if pulse is not None:
                pulse.follow(viewer)
            data = await anext(frames, None)
            if data is None:
                return True
            viewer.feed(data)
            if viewer.records and viewer.records[-1]["type"] == "run.finished":
                return True
    return False


@pytest.mark.parametrize("reads", [2, 3, 5, 9])
@pytest.mark.parametrize("whole_session", [False, True])
async def test_reconnecting_all_the_time_changes_nothing(
    stores: Stores, tmp_path: Path, reads: int, whole_session: bool
) -> None:
    pulse = Pulse(42)
    words = ["wörd🎉 ", *(piece for gate in pulse.gates[:20] for piece in (gate, "wörd🎉 ")), pulse.gates[20]]
    more = [Thought("hm "), *(piece for gate in pulse.gates[21:] for piece in (gate, "word "))]
    model = Puppet([*words, Call("talk", "{}"), Call("talk", "{}"), Call("talk", "{}")], more)
    tool = TalkingTool("some ", "òutput")
    async with replica(stores, model, tmp_path, tools=(tool,)) as server:
        accepted = await server.say("go")
        seen = Viewer(whole_session=whole_session)
        async with asyncio.timeout(20):
            while not (seen.records and seen.records[-1]["type"] == "run.finished"):
                if whole_session:
                    stream = await server.engine.follow_session(WHO, AGENT, SESSION, seen.last_id)
                else:
                    stream = await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)
                await read_some(stream, seen, reads, pulse)
    assert "reset" not in seen.names
    assert "gap" not in seen.names
    texts = [part["text"] for record in seen.of_type("message.appended") for part in record["message"]["parts"][:1]]
    assert texts == ["wörd🎉 " * 21, "hm "]
    shown = [text for (_, kind), text in seen.closed.items() if kind == "text"]
    assert shown[0] == "wörd🎉 " * 21
    assert shown[1].startswith("word " * 20)


async def test_a_late_follower_gets_the_open_item_whole_and_then_its_deltas(stores: Stores, tmp_path: Path) -> None:
    pulse = Pulse(2)
    model = Puppet(["one ", pulse.gates[0], "two ", pulse.gates[1], "three"])
    async with replica(stores, model, tmp_path) as server:
        accepted = await server.say("go")
        early = Viewer()
        async with aclosing((await server.engine.follow_accepted(accepted)).frames()) as frames:
            while not early.texts:
                early.feed(await anext(frames))
            late = Viewer()
            follow = (await server.engine.follow_run(WHO, accepted.run_id, None)).frames()
            async with aclosing(follow) as later:
                while "item.snapshot" not in late.names:
                    late.feed(await anext(later))
                assert list(late.texts.values()) == ["one "]
                pulse.open()
                pulse.open()
                async for data in later:
                    late.feed(data)
            async for data in frames:
                early.feed(data)
    assert early.closed == late.closed
    assert early.records == late.records


async def test_an_outside_record_in_mid_item_never_lets_seq_fall(stores: Stores, tmp_path: Path) -> None:
    pulse = Pulse(2)
    model = Puppet(["one ", pulse.gates[0], "two ", pulse.gates[1], "three"], ["ok"])
    async with replica(stores, model, tmp_path) as server:
        accepted = await server.say("go")
        viewers = [Viewer(), Viewer()]
        followers = [
            (await server.engine.follow_accepted(accepted)).frames(),
            (await server.engine.follow_run(WHO, accepted.run_id, None)).frames(),
        ]
        async with asyncio.timeout(5):
            while not viewers[0].texts:
                viewers[0].feed(await anext(followers[0]))
            for policy in (Busy.ENQUEUE, Busy.STEER):
                await server.say("more", policy=policy)
                pulse.open()
            for viewer, follower in zip(viewers, followers, strict=True):
                async for data in follower:
                    viewer.feed(data)
    assert viewers[0].records == viewers[1].records
    assert viewers[0].of_type("input.steered")


async def test_a_queued_run_is_streamed_from_its_place(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"], ["b"]), tmp_path) as server:
        first = await server.say("one")
        second = await server.say("two")
        stream = (await server.engine.follow_accepted(second)).frames()
        seen = Viewer()
        seen.feed(await anext(stream))
        gate.set()
        async with asyncio.timeout(5):
            async for data in stream:
                seen.feed(data)
        assert {record["run_id"] for record in seen.records} == {second.run_id}
        assert seen.status == "completed"
        assert view(await server.read(first)).status == "completed"


async def test_a_cursor_of_another_log_is_reset(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        old = view(await server.ask("one"))
        await server.engine.delete_session(WHO, AGENT, SESSION)
        accepted = await server.say("two")
        stream = await server.engine.follow_run(WHO, accepted.run_id, old.last_id)
        fresh = b"".join([data async for data in stream.frames()])
    new = view(fresh)
    assert new.names[0] == "reset"
    assert new.status == "completed"


@pytest.mark.parametrize("cursor", ["99999", "{birth}.99999", "{birth}.99999:7.3"])
async def test_a_cursor_beyond_the_log_is_reset(stores: Stores, tmp_path: Path, cursor: str) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        accepted = await server.say("one")
        await server.read(accepted)
        stream = await server.engine.follow_session(WHO, AGENT, SESSION, cursor.format(birth=accepted.birth))
        seen = Viewer()
        await read_some(stream, seen, 2)
    assert seen.names[0] == "reset"
    assert seen.status == "completed"


@pytest.mark.parametrize("cursor", ["abc", "1.2.3", "x.1:2", "-1", "1:2.3", "A.1", "\uff19", "x.1:2.3.4", "0" * 200])
async def test_a_bad_cursor_is_refused(stores: Stores, tmp_path: Path, cursor: str) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        accepted = await server.say("one")
        with pytest.raises(BadCursor):
            await server.engine.follow_run(WHO, accepted.run_id, cursor)


async def test_trap_an_unbounded_queue_between_producer_and_viewer(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer that does not keep up is cut off, and what was kept for it stays within the ring; it can come back."""
    monkeypatch.setattr("app.engine.ring.RING_FRAMES", 8)
    gate = asyncio.Event()
    words: list[str | asyncio.Event] = ["start ", gate]
    for i in range(50):
        words += [f"{i} " * 2000]
    async with replica(stores, Puppet(words), tmp_path) as server:
        accepted = await server.say("go")
        seen = Viewer()
        async with aclosing((await server.engine.follow_accepted(accepted)).frames()) as frames:
            while not seen.texts:
                seen.feed(await anext(frames))
            gate.set()
            await server.engine.finished(WHO, accepted.run_id)
            async for data in frames:
                seen.feed(data)
            assert not seen.of_type("run.finished")
        seen.reconnect()
        async for data in (await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)).frames():
            seen.feed(data)
    assert seen.status == "completed"


async def test_trap_replay_before_subscribe_loses_what_came_between(stores: Stores, tmp_path: Path) -> None:
    """Records that are written while a follower still replays reach it, once."""
    gate = asyncio.Event()
    model = Puppet(["a", gate, "b"])
    async with replica(stores, model, tmp_path) as server:
        gate.set()
        for i in range(30):
            await server.ask(f"q{i}", session="s1")
        gate.clear()
        model.answers = tuple([["x"]] * 30 + [[gate, "y"]])
        accepted = await server.say("last")
        stream = (await server.engine.follow_session(WHO, AGENT, SESSION, None)).frames()
        seen = Viewer(whole_session=True)
        seen.feed(await anext(stream))
        gate.set()
        await server.engine.finished(WHO, accepted.run_id)
        async with asyncio.timeout(5):
            while len(seen.of_type("run.finished")) < 31:
                seen.feed(await anext(stream))
        await stream.aclose()


async def test_trap_viewer_disconnect_cancels_the_run(stores: Stores, tmp_path: Path) -> None:
    """A follower that leaves changes nothing for the run."""
    gate = asyncio.Event()
    async with replica(stores, Puppet(["a", gate, "b"]), tmp_path) as server:
        accepted = await server.say("go")
        await read_some(await server.engine.follow_accepted(accepted), Viewer(), 2)
        gate.set()
        assert (await server.engine.finished(WHO, accepted.run_id)).status == "completed"


async def test_trap_streams_cross_tenants(stores: Stores, tmp_path: Path) -> None:
    """Another tenant's or user's run does not exist."""
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        accepted = await server.say("go")
        for stranger in (Principal(TenantId("other"), WHO.user), Principal(WHO.tenant, UserId("other"))):
            for ask in (server.engine.run, server.engine.cancel, server.engine.finished):
                with pytest.raises(RunNotFound):
                    await ask(stranger, accepted.run_id)
            with pytest.raises(RunNotFound):
                await server.engine.follow_run(stranger, accepted.run_id, None)


async def test_followers_share_one_channel_that_goes_with_the_last(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet(["a", gate]), tmp_path) as server:
        accepted = await server.say("go")
        streams = [(await server.engine.follow_run(WHO, accepted.run_id, None)).frames() for _ in range(5)]
        for stream in streams:
            await anext(stream)
        assert server.engine._broadcast.followed() == 1
        for stream in streams:
            await stream.aclose()
        gate.set()


async def test_a_deleted_session_ends_its_streams(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["a", asyncio.Event()])
    async with replica(stores, model, tmp_path) as server:
        await server.say("go")
        await model.began.wait()
        stream: AsyncGenerator[bytes, None] = (await server.engine.follow_session(WHO, AGENT, SESSION, None)).frames()
        await anext(stream)
        await server.engine.delete_session(WHO, AGENT, SESSION)
        async with asyncio.timeout(5):
            rest = [data async for data in stream]
            assert b"".join(rest).count(b"event: run.finished") == 0
            while server.engine._worker.running():
                await asyncio.sleep(0.01)
