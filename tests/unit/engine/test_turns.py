"""A run from its input to its end: what is recorded, what the model is shown, what becomes of failures."""

import asyncio
from pathlib import Path

import pytest

from app.core.errors import ModelError
from app.core.messages import ToolResultPart
from app.stores.bundle import Stores
from app.testing.counting import CallCounter
from tests.support.puppet import Call, Puppet, Thought
from tests.support.replica import WHO, key_of, replica
from tests.support.tools import CountingTool, FailingTool, refusal
from tests.support.viewer import Viewer, view


async def test_plain_turn_records_input_start_answer_and_end(stores: Stores, tmp_path: Path) -> None:
    async with replica(stores, Puppet([Thought("hm"), "Hel", "lo"]), tmp_path) as server:
        seen = view(await server.ask("hi"))
    assert [record["type"] for record in seen.records] == [
        "run.queued",
        "run.started",
        "message.appended",
        "run.finished",
    ]
    assert set(seen.closed.values()) == {"hm", "Hello"}
    assert seen.of_type("message.appended")[0]["model"] == "puppet:puppet"
    assert seen.records[-1]["usage"] == {"input_tokens": 10, "output_tokens": 5, "model_calls": 1}
    state = (await stores.sessions.read(key_of("s1"))).state()
    assert [message.role for message in state.messages] == ["user", "assistant"]
    assert state.run is None


async def test_plain_turn_is_two_round_trips(stores: Stores, tmp_path: Path) -> None:
    counter = CallCounter()
    watched = Stores(
        sessions=counter.watch(stores.sessions, "sessions"),
        runs=counter.watch(stores.runs, "runs"),
        heads=counter.watch(stores.heads, "heads"),
        replicas=counter.watch(stores.replicas, "replicas"),
        keyvalue=counter.watch(stores.keyvalue, "keyvalue"),
        blobs=counter.watch(stores.blobs, "blobs"),
        bus=stores.bus,
    )
    async with replica(watched, Puppet(["one"], ["two"]), tmp_path) as server:
        await asyncio.sleep(0.01)
        for _ in range(3):
            counter.reset()
            assert view(await server.ask("hi")).status == "completed"
            assert counter.calls == {("sessions", "submit"): 1, ("sessions", "commit"): 1}


async def test_calls_run_side_by_side_and_their_results_reach_the_model(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    slow, fast = CountingTool("slow", before=gate), CountingTool("fast")
    model = Puppet([Call("slow", "{}"), Call("fast", "{}")], ["done"])
    async with replica(stores, model, tmp_path, tools=(slow, fast)) as server:
        stream = await server.engine.follow_accepted(await server.say("go"))
        seen = Viewer()
        async with asyncio.timeout(5):
            async for data in stream.frames():
                seen.feed(data)
                if seen.of_type("tool.finished"):
                    gate.set()
    started = [record["name"] for record in seen.of_type("tool.started")]
    assert started == ["slow", "fast"]
    assert [record["result"]["name"] for record in seen.of_type("tool.finished")] == ["fast", "slow"]
    shown = model.requests[1].messages[-1]
    assert [part.name for part in shown.parts if isinstance(part, ToolResultPart)] == ["slow", "fast"]


async def test_started_is_durable_before_the_effect(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    tool = CountingTool(before=gate)
    async with replica(stores, Puppet([Call("count", "{}")], ["done"]), tmp_path, tools=(tool,)) as server:
        accepted = await server.say("go")
        async with asyncio.timeout(5):
            await tool.entered.wait()
        state = (await stores.sessions.read(key_of("s1"))).state()
        assert state.run is not None
        assert [call.status for call in state.run.calls] == ["started"]
        gate.set()
        await server.read(accepted)


@pytest.mark.parametrize(
    ("call", "tool", "outcome", "words"),
    [
        (Call("nothing", "{}"), None, "error", "there is no tool called 'nothing'"),
        (Call("read_file", '{"path": '), None, "error", "not legal JSON"),
        (Call("read_file", '{"paht": "x"}'), None, "error", "do not fit the tool's schema"),
        (Call("read_file", '{"path": 3}'), None, "error", "do not fit the tool's schema"),
        (Call("fail", "{}"), refusal("try the other door"), "error", "try the other door"),
        (Call("fail", "{}"), FailingTool(KeyError("secret-value")), "error", "internal KeyError"),
        (Call("count", "{}"), CountingTool(before=asyncio.Event(), timeout=0.05), "timeout", "longer than 0.05 s"),
    ],
)
async def test_what_goes_wrong_in_a_call_is_told_to_the_model(
    stores: Stores, tmp_path: Path, call: Call, tool: CountingTool | FailingTool | None, outcome: str, words: str
) -> None:
    async with replica(stores, Puppet([call], ["sorry"]), tmp_path, tools=(tool,) if tool else ()) as server:
        seen = view(await server.ask("go"))
    (finished,) = seen.of_type("tool.finished")
    assert finished["outcome"] == outcome
    assert words in finished["result"]["text"]
    assert "secret-value" not in finished["result"]["text"]
    assert finished["result"]["is_error"]
    assert seen.status == "completed"


async def test_a_long_result_is_bounded_and_kept_whole_in_a_blob(stores: Stores, tmp_path: Path) -> None:
    text = "é\x00" * 400_000
    model = Puppet([Call("fail", "{}")], ["done"])
    async with replica(stores, model, tmp_path, tools=(FailingTool(text),)) as server:
        (finished,) = view(await server.ask("go")).of_type("tool.finished")
    shown = model.requests[1].messages[-1].parts[0]
    assert isinstance(shown, ToolResultPart)
    assert len(shown.text) < 30_000
    assert "left out" in shown.text
    assert (await stores.blobs.get(WHO.tenant, finished["result"]["blob"]["sha256"])).decode() == text


async def test_long_inputs_and_answers_reach_the_model_whole(stores: Stores, tmp_path: Path) -> None:
    question, answer = "q" * 300_000, "ä" * 200_000
    model = Puppet([answer, Call("nothing", '{"x": "' + "y" * 100_000 + '"}')], ["done"])
    async with replica(stores, model, tmp_path) as server:
        await server.ask(question)
    assert model.requests[1].messages[0].text() == question
    assert model.requests[1].messages[1].text() == answer
    assert len(model.requests[1].messages[1].calls()[0].arguments) > 100_000
    assert max(len(entry.body) for entry in (await stores.sessions.read(key_of("s1"), 0, 99)).entries) <= 64 * 1024


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ("steps: 3", "limit_steps"),
        ("tokens: 30", "limit_tokens"),
        ("seconds: 0.2", "limit_seconds"),
    ],
)
async def test_a_run_ends_at_its_limits(stores: Stores, tmp_path: Path, limits: str, code: str) -> None:
    pause = asyncio.Event()
    pieces = [pause] if "seconds" in limits else [Call("list_files", "{}")]
    async with replica(stores, Puppet(pieces), tmp_path, agent=f"limits: {{{limits}}}") as server:
        async with asyncio.timeout(10):
            seen = view(await server.ask("go"))
    assert seen.status == "limited"
    assert seen.records[-1]["error"]["code"] == code


async def test_a_failed_model_fails_the_run_and_the_next_message_is_answered(stores: Stores, tmp_path: Path) -> None:
    model = Puppet([ModelError("no such model")])
    async with replica(stores, model, tmp_path) as server:
        seen = view(await server.ask("one"))
        assert seen.status == "failed"
        assert seen.records[-1]["error"] == {"code": "model_error", "message": "no such model"}
        model.answers = (["fine"],)
        assert view(await server.ask("two")).status == "completed"
    assert [message.text() for message in model.requests[-1].messages] == ["one", "two"]


async def test_a_stream_that_breaks_in_mid_answer_is_asked_again_twice(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["half an ", ModelError("reset", retryable=True)])
    async with replica(stores, model, tmp_path) as server:
        seen = view(await server.ask("one"))
    assert [record["reason"] for record in seen.of_type("run.resumed")] == ["model_stream"] * 2
    assert len(model.requests) == 3
    assert seen.status == "failed"
    (partial,) = seen.of_type("message.appended")
    assert partial["message"]["incomplete"]
    assert partial["message"]["parts"] == [{"type": "text", "text": "half an "}]


async def test_todo_list_is_state_and_no_effect(stores: Stores, tmp_path: Path) -> None:
    todos = '{"todos": [{"text": "think", "status": "in_progress"}]}'
    async with replica(stores, Puppet([Call("todo_write", todos)], ["ok"]), tmp_path) as server:
        seen = view(await server.ask("plan"))
    assert not seen.of_type("tool.started")
    assert (await stores.sessions.read(key_of("s1"))).state().todos[0].text == "think"


async def test_the_context_is_bounded_between_runs(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["a"])
    async with replica(stores, model, tmp_path, agent="limits: {context_messages: 10}") as server:
        for i in range(20):
            await server.ask(f"q{i}")
    assert max(len(request.messages) for request in model.requests) <= 11
    assert all(request.messages[0].role == "user" for request in model.requests)


async def test_trap_caches_per_session_never_shrink(stores: Stores, tmp_path: Path) -> None:
    """Nothing of a session stays in the process once its run and its followers are gone."""
    async with replica(stores, Puppet(["a"]), tmp_path) as server:
        for i in range(20):
            await server.ask("q", session=f"s{i}")
        worker = server.engine._worker
        assert worker.free == 8
        assert not worker.running()
        assert not worker.held
