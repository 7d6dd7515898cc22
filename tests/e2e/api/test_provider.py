"""A real provider's wire format, end to end: streamed text, tool calls, and everything that goes wrong there."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.api.conftest import CONTRACT
from tests.e2e.api.provided import KEY, forget, provided
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.provider import RESET, STALL, FakeProvider, Reply, answer, refusal, sse
from tests.support.server import Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

Place = tuple[FakeProvider, Server]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Place, None]:
    async with provided(tmp_path_factory.mktemp("provider")) as place:
        yield place


@pytest_asyncio.fixture(loop_scope="module")
async def model(place: Place) -> FakeProvider:
    forget(place[0])
    return place[0]


@pytest_asyncio.fixture(loop_scope="module")
async def talk(place: Place) -> AsyncIterator[Talk]:
    """A session; whatever a test did to it, the key was shown to nobody but the provider."""
    async with Client.of(place[1].url, contract=CONTRACT) as client:
        talk = Talk(client)
        yield talk
        shown = str(await talk.messages())
        async with client.stream("GET", f"{talk.path}/events") as (_, events):
            async for event in events:
                shown += str(event.data)
                if event.name == "run.finished":
                    break
    assert KEY not in shown
    assert KEY not in place[1].stderr


async def test_text_and_tool_calls_come_in_pieces(talk: Talk, model: FakeProvider) -> None:
    write, read = '{"path": "a.txt", "content": "grüße 🜁"}', '{"path": "a.txt"}'
    model.add(
        answer("I ", "write", ".", calls=[("c1", "write_file", write), ("c2", "todo_write", '{"todos": []}')]),
        answer(calls=[("c3", "read_file", read)], usage=(20, 7)),
        answer("It says ", "grüße 🜁", "."),
    )
    _, seen = await talk.say("do it")
    run = seen.records[0]["run_id"]
    assert seen.status == "completed"
    assert seen.closed[f"{run}:0:0", "text"] == "I write."
    assert seen.closed[f"{run}:0:1", "args"] == write
    assert [record["outcome"] for record in seen.of_type("tool.finished")] == ["ok"] * 3
    assert (await talk.said())[-2:] == [("tool", "     1\tgrüße 🜁"), ("assistant", "It says grüße 🜁.")]
    usage = (await talk.api.get(f"/v1/runs/{run}")).json["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (40, 17)
    assert (usage["model_calls"], usage["tool_calls"]) == (3, 3)
    assert model.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    last = model.requests[2].body["messages"]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]
    assert last[2]["tool_calls"][0]["function"] == {"name": "write_file", "arguments": write}
    assert last[3]["tool_call_id"] == last[2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    "arguments", ['{"path": ', "[]", "null", '{"path": 7}', "{}", '{"path": "a\\u0000b"}', '{"path": "\\ud800"}']
)
async def test_bad_arguments_are_the_models_to_mend(talk: Talk, model: FakeProvider, arguments: str) -> None:
    model.add(answer(calls=[("c1", "read_file", arguments)]), answer("I see."))
    _, seen = await talk.say("do it")
    assert [record["result"]["is_error"] for record in seen.of_type("tool.finished")] == [True]
    assert seen.status == "completed"


async def test_an_unknown_tool_is_the_models_to_mend(talk: Talk, model: FakeProvider) -> None:
    model.add(answer(calls=[("c1", "rm_rf", "{}")]), answer("I see."))
    _, seen = await talk.say("do it")
    assert "rm_rf" in seen.of_type("tool.finished")[0]["result"]["text"]
    assert seen.status == "completed"


@pytest.mark.parametrize("how", ["error", "reset", "close"])
async def test_a_stream_that_breaks_is_begun_anew(talk: Talk, model: FakeProvider, how: str) -> None:
    half = answer("Hel", end=RESET)
    if how == "error":
        half = Reply(steps=[*half.steps, sse({"error": {"message": f"overloaded {KEY}", "type": "server_error"}})])
    elif how == "close":
        half = Reply(steps=half.steps)
    model.add(half, answer("Good ", "day."))
    _, seen = await talk.say("hi")
    assert seen.status == "completed"
    assert [(record["reason"], record["attempt"]) for record in seen.of_type("run.resumed")] == [("model_stream", 1)]
    assert await talk.said() == [("user", "hi"), ("assistant", "Good day.")]


async def test_a_stream_that_always_breaks_fails_the_run(talk: Talk, model: FakeProvider) -> None:
    model.add(*[answer("Hel", end=RESET)] * 3)
    result = await talk.result("hi")
    assert (result["status"], result["error"]["code"], result["output"]) == ("failed", "model_error", "Hel")
    assert "connection to the provider failed" in result["error"]["message"]


async def test_a_provider_that_asks_to_wait_is_asked_again(talk: Talk, model: FakeProvider) -> None:
    model.add(refusal(429, "slow down", {"Retry-After": "1"}), answer("Fine."))
    began = time.monotonic()
    result = await talk.result("hi")
    assert (result["status"], result["output"]) == ("completed", "Fine.")
    assert 1.0 <= time.monotonic() - began < 10
    assert len(model.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_fails_the_run_and_says_why(talk: Talk, model: FakeProvider, status: int) -> None:
    model.add(refusal(status, f"the key {KEY} is not right"))
    result = await talk.result("hi")
    assert (result["status"], result["error"]["code"], result["output"]) == ("failed", "model_error", "")
    assert result["error"]["message"].endswith(f"answered {status} instead of a stream: the key [key] is not right")
    model.add(answer("Fine."))
    assert (await talk.result("again"))["output"] == "Fine."


async def test_what_is_no_stream_at_all_fails_the_run(talk: Talk, model: FakeProvider) -> None:
    model.add(Reply(steps=[b"<html>It works!</html>"], headers={"Content-Type": "text/html"}))
    model.add(*[refusal(400, "no more")] * 3)
    result = await talk.result("hi")
    assert (result["status"], result["error"]["code"]) == ("failed", "model_error")


async def test_a_stall_is_shown_as_far_as_it_came_and_can_be_cancelled(talk: Talk, model: FakeProvider) -> None:
    model.add(answer("Hel", end=STALL))
    run = await talk.start("hi")
    asked = await model.arrival()
    await talk.api.post(f"/v1/runs/{run}/cancel")
    assert (await talk.follow(run)).status == "cancelled"
    async with asyncio.timeout(10):
        await asked.gone.wait()


async def test_a_provider_that_is_down_fails_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with FakeProvider() as provider:
        gone = provider.base_url
    environment = {"OPENAI_BASE_URL": gone, "OPENAI_API_KEY": KEY, "BATON_MODEL": "openai:m"}
    async with (
        running(tmp_path_factory.mktemp("down"), **environment) as server,
        Client.of(server.url, contract=CONTRACT) as api,
    ):
        answered = await api.post("/v1/chat", json={"input": "hi", "stream": False})
    assert (answered.status, answered.json["status"]) == (200, "failed")
    assert answered.json["error"]["code"] == "model_error"
    assert "connection to the provider failed" in answered.json["error"]["message"]
    assert KEY not in server.stderr
