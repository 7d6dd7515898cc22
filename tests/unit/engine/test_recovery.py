"""A replica that dies in the middle of something: the next one finds the log, and goes on from there."""

import asyncio
from pathlib import Path

import pytest

from app.core.records import Effect
from app.stores.bundle import Stores
from tests.support.puppet import Call, Puppet
from tests.support.replica import WHO, key_of, replica
from tests.support.tools import CountingTool
from tests.support.viewer import Viewer, view


async def test_a_run_cut_off_in_mid_answer_is_answered_whole_by_the_next_replica(
    stores: Stores, tmp_path: Path
) -> None:
    model = Puppet(["half", asyncio.Event()])
    async with replica(stores, model, tmp_path) as first:
        accepted = await first.say("one")
        await model.began.wait()
    model.answers = (["whole answer"],)
    async with replica(stores, model, tmp_path) as second:
        async with asyncio.timeout(5):
            stream = await second.engine.follow_run(WHO, accepted.run_id, None)
            seen = view(b"".join([data async for data in stream.frames()]))
    assert [record["reason"] for record in seen.of_type("run.resumed")] == ["takeover"]
    assert seen.of_type("message.appended")[0]["message"]["parts"][0]["text"] == "whole answer"
    assert seen.status == "completed"


async def test_the_client_that_was_watching_sees_every_record_once(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["half ", asyncio.Event()])
    seen = Viewer()
    async with replica(stores, model, tmp_path) as first:
        accepted = await first.say("one")
        async for data in (await first.engine.follow_accepted(accepted)).frames():
            seen.feed(data)
            if seen.texts:
                break
    model.answers = (["half as long"],)
    async with replica(stores, model, tmp_path) as second:
        async with asyncio.timeout(5):
            stream = await second.engine.follow_run(WHO, accepted.run_id, seen.last_id)
            async for data in stream.frames():
                seen.feed(data)
    assert [record["type"] for record in seen.records] == [
        "run.queued",
        "run.started",
        "run.resumed",
        "message.appended",
        "run.finished",
    ]


@pytest.mark.parametrize(
    ("effect", "attempts", "outcome"),
    [
        (Effect.UNSAFE, 1, "unknown"),
        (Effect.KEYED, 2, "ok"),
        (Effect.PURE, 2, "ok"),
    ],
)
async def test_a_call_in_doubt_is_settled_by_its_effect(
    stores: Stores, tmp_path: Path, effect: Effect, attempts: int, outcome: str
) -> None:
    gate = asyncio.Event()
    tool = CountingTool(effect=effect, after=gate)
    model = Puppet([Call("count", "{}")], ["noted"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as first:
        accepted = await first.say("one")
        await tool.done.wait()
    gate.set()
    async with replica(stores, model, tmp_path, tools=(tool,)) as second:
        async with asyncio.timeout(5):
            await second.engine.finished(WHO, accepted.run_id)
            stream = await second.engine.follow_run(WHO, accepted.run_id, None)
            seen = view(b"".join([data async for data in stream.frames()]))
            assert view(await second.ask("two")).status == "completed"
    assert len(tool.attempts) == attempts
    assert tool.attempts[1:] == [True] * (attempts - 1)
    assert seen.of_type("tool.finished")[0]["outcome"] == outcome
    assert set(tool.effects.values()) == ({1} if effect is not Effect.PURE else {2})
    result = model.requests[-1].messages[2].parts[0]
    assert ("nobody can say" in str(result)) == (effect is Effect.UNSAFE)


async def test_queued_runs_survive_their_replica(stores: Stores, tmp_path: Path) -> None:
    model = Puppet([asyncio.Event()])
    async with replica(stores, model, tmp_path) as first:
        accepted = [await first.say(text) for text in ("one", "two", "three")]
        await model.began.wait()
    model.answers = (["a"], ["b"], ["c"])
    async with replica(stores, model, tmp_path) as second:
        async with asyncio.timeout(5):
            for item in accepted:
                assert (await second.engine.finished(WHO, item.run_id)).status == "completed"
    assert [message.text() for message in model.requests[-1].messages] == ["one", "a", "two", "b", "three"]


async def test_a_cancel_that_nobody_heard_is_obeyed_by_the_next_replica(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["x", asyncio.Event()])
    async with replica(stores, model, tmp_path) as first:
        accepted = await first.say("one")
        await model.began.wait()
        first.engine._worker._seats.clear()
    async with replica(stores, model, tmp_path) as second:
        async with asyncio.timeout(5):
            await second.engine.cancel(WHO, accepted.run_id)
            assert (await second.engine.finished(WHO, accepted.run_id)).status == "cancelled"


async def test_draining_lets_go_between_steps_and_the_next_replica_goes_on(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    tool = CountingTool(effect=Effect.KEYED, before=gate)
    model = Puppet([Call("count", "{}")], ["done"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as first:
        accepted = await first.say("one")
        await tool.entered.wait()
        async with asyncio.timeout(5):
            await first.engine.drain(grace=20)
        assert not first.engine.ready()
    assert (await stores.heads.peek([key_of("s1")]))[key_of("s1")].status == "ready"
    gate.set()
    async with replica(stores, model, tmp_path, tools=(tool,)) as second:
        async with asyncio.timeout(5):
            stream = await second.engine.follow_run(WHO, accepted.run_id, None)
            seen = view(b"".join([data async for data in stream.frames()]))
    assert [record["reason"] for record in seen.of_type("run.resumed")] == ["handover"]
    assert set(tool.effects.values()) == {1}


async def test_draining_waits_for_a_model_call_and_then_cuts_it(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet([gate, "whole"])
    async with replica(stores, model, tmp_path) as first:
        patient = await first.say("one")
        await model.began.wait()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(first.engine.drain(grace=20))
            await asyncio.sleep(0)
            assert not draining.done()
            gate.set()
        assert (await first.engine.run(WHO, patient.run_id)).status == "completed"
    model.answers = ([], [asyncio.Event()])
    async with replica(stores, model, tmp_path) as second:
        await second.say("two")
        async with asyncio.timeout(2):
            await second.engine.drain(grace=0.05)
    assert (await stores.heads.peek([key_of("s1")]))[key_of("s1")].status == "ready"


async def test_a_run_finishes_on_the_agent_it_began_with(stores: Stores, tmp_path: Path) -> None:
    model = Puppet([asyncio.Event()])
    async with replica(stores, model, tmp_path) as first:
        accepted = await first.say("one")
        await model.began.wait()
    model.answers = (["a"], ["b"])

    def rewrite(directory: Path) -> None:
        (directory / "agents" / "assistant" / "AGENTS.md").write_text("You are newer.")

    async with replica(stores, model, tmp_path, prepare=rewrite) as second:
        async with asyncio.timeout(5):
            await second.engine.finished(WHO, accepted.run_id)
            await second.ask("two")
    assert [request.system for request in model.requests] == ["You are a test.", "You are a test.", "You are newer."]


async def test_trap_restarted_worker_takes_its_dead_runs_for_live_ones(stores: Stores, tmp_path: Path) -> None:
    """A server that restarts is another incarnation: what its predecessor left running is taken over at once."""
    model = Puppet([asyncio.Event()])
    for _ in range(3):
        async with replica(stores, model, tmp_path) as server:
            if not model.requests:
                accepted = await server.say("one")
            model.began.clear()
            async with asyncio.timeout(2):
                await model.began.wait()
    model.answers = (["a"],)
    async with replica(stores, model, tmp_path) as server:
        async with asyncio.timeout(5):
            stream = await server.engine.follow_run(WHO, accepted.run_id, None)  # pyright: ignore[reportPossiblyUnboundVariable]
            seen = view(b"".join([data async for data in stream.frames()]))
    assert [record["attempt"] for record in seen.of_type("run.resumed")] == [2, 3, 4]


async def test_a_run_that_never_ends_is_not_begun_for_ever(stores: Stores, tmp_path: Path) -> None:
    model = Puppet([asyncio.Event()])
    accepted = None
    for _ in range(4):
        async with replica(stores, model, tmp_path, agent="limits: {attempts: 2}") as server:
            if accepted is None:
                accepted = await server.say("one")
            async with asyncio.timeout(2):
                while not model.began.is_set() and (await server.engine.run(WHO, accepted.run_id)).status == "active":
                    await asyncio.sleep(0.01)
            model.began.clear()
            view_now = await server.engine.run(WHO, accepted.run_id)
    assert view_now.status == "limited"  # pyright: ignore[reportPossiblyUnboundVariable]
    assert len(model.requests) == 2
