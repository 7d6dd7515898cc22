"""Defects that were found by attack, each with the smallest test that shows it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.errors import BlobNotFound, ModelError, RunNotFound, StoreCorrupt, StoreUnavailable
from app.core.ids import item_id
from app.core.messages import StopReason, TextPart, Usage
from app.core.records import AnyRecord, Busy, Effect, InputSteered, StatePatched
from app.core.tools import ToolOutput
from app.engine.tenure import Tenure
from app.engine.views import Invocation
from app.llm.base import CallDelta, Finished, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from app.stores.base import Release, RunEntry
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Nudge
from app.tools.base import ToolContext, describe
from tests.support.puppet import Call, Piece, Puppet, Thought
from tests.support.replica import AGENT, WHO, key_of, replica
from tests.support.tools import CountingTool, FailingTool, NoArguments
from tests.support.viewer import Viewer, view

END = Finished(StopReason("end"), Usage())


class Events:
    """A model that yields these batches, or raises what is among them; later answers are plain."""

    def __init__(self, *batches: Sequence[ModelEvent] | BaseException) -> None:
        self.batches = batches
        self.requests = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        self.requests += 1
        for batch in self.batches if self.requests == 1 else ([TextDelta("fine"), END],):
            if isinstance(batch, BaseException):
                raise batch
            yield batch


async def settled(stores: Stores, model: Model, directory: Path) -> Viewer:
    """Gives the first run's stream, and has made sure that the session answers the next input."""
    async with replica(stores, model, directory) as server, asyncio.timeout(5):
        seen = view(await server.ask("one"))
        assert view(await server.ask("two")).status == "completed"
    return seen


async def test_a_finished_run_followed_from_its_end_is_over(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server, asyncio.timeout(2):
        accepted = await server.say("one")
        seen = view(await server.read(accepted))
        again = (await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)).frames()
        assert view(b"".join([data async for data in again])).records == []


async def test_an_input_that_joined_is_followed_to_the_end_of_its_run(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet(["a", gate], ["b"]), tmp_path) as server, asyncio.timeout(5):
        first = await server.say("one")
        await server.say("two", policy=Busy.STEER)
        log = await stores.sessions.read(key_of("s1"), 0)
        (joining,) = (entry.record.input_id for entry in log.entries if isinstance(entry.record, InputSteered))
        frames = (await server.engine.follow_run(WHO, joining, f"{first.birth}.{log.head.seq}")).frames()
        async with aclosing(frames):
            seen = Viewer()
            seen.feed(await anext(frames))
            gate.set()
            async for data in frames:
                seen.feed(data)
        assert seen.status == "completed"
        late = await server.engine.follow_run(WHO, joining, seen.last_id)
        assert view(b"".join([data async for data in late.frames()])).records == []


@pytest.mark.parametrize(
    "piece",
    [
        [Call("fail", '{"a": "' + "x" * 980 + '"}') for _ in range(64)],
        [Call("fail", '{"a": "' + "\\u0001" * 900 + '"}') for _ in range(64)],
        [Call("n" * 100_000, "{}")],
        [Call("half \ud800", '"\udfff"')],
        ["\x01" * 20_000, *(piece for _ in range(40) for piece in (Thought("\x01" * 1100), "\x02" * 1100))],
        ["half a character \ud800"],
    ],
    ids=["many", "escaped", "name", "half name", "previews", "half"],
)
async def test_whatever_a_model_says_fits_into_the_log(stores: Stores, tmp_path: Path, piece: list[Piece]) -> None:
    assert (await settled(stores, Puppet(piece, ["b"], ["c"]), tmp_path)).status == "completed"


async def test_an_answer_of_many_parts_fits_into_the_log(stores: Stores, tmp_path: Path) -> None:
    batch = [event for i in range(3000) for event in (ThinkingDelta("thinking"), TextDelta(f"word {i} "))]
    seen = await settled(stores, Events([*batch, END]), tmp_path)
    assert seen.status == "completed"


async def test_an_input_of_many_parts_fits_into_the_log(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server, asyncio.timeout(5):
        parts = tuple(TextPart(text="\x01" * size) for size in range(990, 1054))
        accepted = await server.engine.submit(WHO, Invocation(agent=AGENT, input=parts))
        assert view(await server.read(accepted)).status == "completed"


@pytest.mark.parametrize(
    "batches",
    [
        [TimeoutError("inside")],
        [[TextDelta("a")], TimeoutError("inside")],
        [[TextDelta("a")], ValueError("inside")],
        [[CallDelta(-1, "x", "{}")]],
        [asyncio.CancelledError("inside")],
        [[TextDelta("a")], ModelError("\ud800" + "x" * 100_000)],
    ],
    ids=["timeout", "timeout later", "error", "index", "cancelled", "long"],
)
async def test_a_model_that_misbehaves_ends_its_run_at_once(
    stores: Stores, tmp_path: Path, batches: list[Sequence[ModelEvent] | BaseException]
) -> None:
    model = Events(*batches)
    seen = await settled(stores, model, tmp_path)
    assert seen.of_type("run.finished")[0]["error"]["code"] == "model_error"
    assert model.requests == 2


async def test_a_missing_blob_fails_the_run_at_once(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get(*_: object) -> bytes:
        raise BlobNotFound("it is gone")

    async with replica(stores, Puppet(["a" * 40_000], ["b"]), tmp_path) as server, asyncio.timeout(5):
        await server.ask("one")
        monkeypatch.setattr(stores.blobs, "get", get)
        seen = view(await server.ask("two"))
    assert seen.of_type("run.finished")[0]["error"]["code"] == "blob_not_found"


class Patching:
    """A tool whose patch no record can hold."""

    spec = describe("fail", "Patches.", NoArguments, Effect.PURE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        return ToolOutput(text="ok", patch=StatePatched(at=context.clock.now(), metadata={"x": "y" * 70_000}))


@pytest.mark.parametrize("tool", [Patching(), FailingTool("\ud800" * 50_000)], ids=["patch", "half"])
async def test_whatever_a_tool_gives_is_told_to_the_model(
    stores: Stores, tmp_path: Path, tool: Patching | FailingTool
) -> None:
    model = Puppet([Call("fail", "{}")], ["b"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as server, asyncio.timeout(5):
        assert view(await server.ask("one")).status == "completed"


class SelfCancelling:
    """A tool that waits for something that somebody else cancels."""

    spec = describe("fail", "Waits in vain.", NoArguments, Effect.UNSAFE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future


async def test_a_cancellation_inside_a_tool_is_its_own_affair(stores: Stores, tmp_path: Path) -> None:
    model = Puppet([Call("fail", "{}")], ["b"])
    async with replica(stores, model, tmp_path, tools=(SelfCancelling(),)) as server, asyncio.timeout(5):
        seen = view(await server.ask("one"))
    assert seen.of_type("tool.finished")[0]["outcome"] == "error"
    assert not seen.of_type("run.resumed")


async def test_a_stale_nudge_never_touches_another_run(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    tool = CountingTool(before=gate)
    model = Puppet(["a"], [Call("count", "{}")], ["b"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as server, asyncio.timeout(5):
        first = await server.say("one")
        await server.read(first)
        second = await server.say("two")
        await tool.entered.wait()
        stores.bus.publish(key_of("s1"), Nudge(first.run_id))
        await asyncio.sleep(0.05)
        gate.set()
        seen = view(await server.read(second))
    assert seen.of_type("tool.finished")[0]["outcome"] == "ok"
    assert not seen.of_type("run.resumed")


async def test_an_interruption_between_two_runs_is_forgotten(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Tenure.commit

    async def late(self: Tenure, records: Sequence[AnyRecord], release: Release | None = None) -> bool:
        done = await commit(self, records, release)
        for seat in server.engine._worker._seats.values() if release is not None else ():
            seat.interrupt()
        return done

    monkeypatch.setattr(Tenure, "commit", late)
    async with replica(stores, Puppet(["a"], ["b"]), tmp_path) as server, asyncio.timeout(5):
        first, second = await server.say("one"), await server.say("two")
        seen = [view(await server.read(item)) for item in (first, second)]
    assert [viewer.of_type("run.resumed") for viewer in seen] == [[], []]


async def test_interrupt_is_heard_at_once(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.engine.TICK_SECONDS", 60)  # which would find out by itself
    model = Puppet([asyncio.Event()])
    async with replica(stores, model, tmp_path) as server, asyncio.timeout(5):
        first = await server.say("one")
        await model.began.wait()
        model.answers = (["b"],)
        await server.say("two", policy=Busy.INTERRUPT)
        assert (await server.engine.finished(WHO, first.run_id)).status == "cancelled"


async def test_a_broken_head_does_not_end_the_server(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.broadcast.TICK_SECONDS", 0.01)
    peeked = asyncio.Event()

    async def peek(*_: object) -> None:
        peeked.set()
        raise StoreCorrupt("a head")

    async with replica(stores, Puppet(["a"]), tmp_path) as server, asyncio.timeout(5):
        monkeypatch.setattr(stores.heads, "peek", peek)
        await server.ask("one")
        await peeked.wait()
        monkeypatch.undo()
        assert view(await server.ask("two")).status == "completed"


def unheard(*_: object) -> None:
    """Loses what was published."""


async def test_what_a_lost_announcement_carried_is_read_before_a_later_delta(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Puppet(["a", asyncio.Event()])
    async with replica(stores, model, tmp_path) as server, asyncio.timeout(5):
        first = await server.say("one")
        frames = (await server.engine.follow_session(WHO, AGENT, key_of("s1").session, None)).frames()
        async with aclosing(frames):
            seen = Viewer(whole_session=True)
            while not seen.texts:
                seen.feed(await anext(frames))
            with monkeypatch.context() as silent:
                silent.setattr(stores.bus, "publish", unheard)
                queued = await server.say("two")
            item = item_id(first.run_id, 0, 0)
            delta = Delta(first.birth, queued.after + 1, 1, 2, first.run_id, item, "text", 1, "b")
            stores.bus.publish(key_of("s1"), delta)
            while list(seen.texts.values()) != ["ab"]:
                seen.feed(await anext(frames))
    assert [record["seq"] for record in seen.records] == list(range(1, queued.after + 2))


async def test_a_reader_that_is_behind_when_the_streams_end_is_let_go(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet(["a", gate, "b"]), tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("one")
        frames = (await server.engine.follow_session(WHO, AGENT, key_of("s1").session, None)).frames()
        seen = Viewer()
        while not seen.texts:
            seen.feed(await anext(frames))
        gate.set()
        await server.engine.finished(WHO, accepted.run_id)
        await server.engine.drain(0)
        async for data in frames:
            seen.feed(data)
        assert seen.status == "completed"


async def test_deep_thinkers_keep_their_thoughts_apart(stores: Stores, tmp_path: Path) -> None:
    model = Events([ThinkingDelta("hm"), TextDelta("a"), ThinkingDelta("ha"), TextDelta(""), TextDelta("b"), END])
    async with replica(stores, model, tmp_path) as server, asyncio.timeout(5):
        seen = view(await server.ask("one"))
    parts = seen.of_type("message.appended")[0]["message"]["parts"]
    assert [(part["type"], part["text"]) for part in parts] == [
        ("thinking", "hm"),
        ("text", "a"),
        ("thinking", "ha"),
        ("text", "b"),
    ]


async def test_a_submit_that_cannot_subscribe_loses_neither_its_slot_nor_its_claim(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.05)

    async def subscribe(*_: object, **__: object) -> None:
        raise StoreUnavailable("no bus")

    async with replica(stores, Puppet(["a"]), tmp_path, slots=1) as server, asyncio.timeout(5):
        with monkeypatch.context() as broken:
            broken.setattr(stores.bus, "subscribe", subscribe)
            with pytest.raises(StoreUnavailable):
                await server.say("one", key="k")
        assert server.engine._broadcast.followed() == 0
        again = await server.say("one", key="k")
        assert view(await server.read(again)).status == "completed"


async def test_what_comes_after_the_streams_ended_is_left_alone(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet(["a", asyncio.Event()]), tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("one")
        frames = (await server.engine.follow_accepted(accepted)).frames()
        async with aclosing(frames):
            await anext(frames)
            await server.engine.drain(0)
            stores.bus.publish(key_of("s1"), Announced(accepted.birth, 99))
            assert not view(b"".join([data async for data in frames])).of_type("run.finished")
    await asyncio.sleep(0)


async def test_a_run_whose_session_was_made_anew_is_not_found(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(stores, Puppet(["a"]), tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("one")
        await server.read(accepted)
        entry = await stores.runs.find(WHO.tenant, accepted.run_id)
        await server.engine.delete_session(WHO, AGENT, key_of("s1").session)
        await server.engine.create_session(WHO, AGENT, key_of("s1").session, "", {})

        async def find(*_: object) -> RunEntry | None:
            return entry

        monkeypatch.setattr(stores.runs, "find", find)
        with pytest.raises(RunNotFound):
            await server.engine.run(WHO, accepted.run_id)


async def test_the_end_of_a_withdrawn_run_closes_nothing_of_the_active_one(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["a", asyncio.Event()])
    async with replica(stores, model, tmp_path) as server, asyncio.timeout(5):
        first = await server.say("one")
        early = (await server.engine.follow_accepted(first)).frames()
        async with aclosing(early):
            seen = Viewer()
            while not seen.texts:
                seen.feed(await anext(early))
            second = await server.say("two")
            await server.engine.cancel(WHO, second.run_id)
            await server.read(second)
            seq = (await stores.sessions.read(key_of("s1"), 0)).head.seq
            cursor = f"{first.birth}.{seq}"
            late = (await server.engine.follow_session(WHO, AGENT, key_of("s1").session, cursor)).frames()
            async with aclosing(late):
                joined = Viewer()
                while not joined.texts:
                    joined.feed(await anext(late))
