"""A chat with the offline model: tools, streams and results, as a newcomer gets them."""

import asyncio

import pytest

from tests.e2e.api.talk import Talk, text_of, watch
from tests.support.http import Client
from tests.support.server import Server


async def test_a_chat_with_a_tool_call(server: Server, api: Client) -> None:
    async with api.stream("POST", "/v1/chat", json={"input": "/write notes/a.txt buy milk"}) as (head, events):
        seen = await watch(events)
    assert seen.status == "completed"
    records = [record["type"] for record in seen.records]
    assert records == [
        "run.queued",
        "run.started",
        "message.appended",
        "tool.started",
        "tool.finished",
        "message.appended",
        "run.finished",
    ]
    assert seen.of_type("tool.finished")[0]["outcome"] == "ok"
    talk = Talk(api, head.headers["X-Session-Id"])
    assert (await talk.result("/read notes/a.txt"))["output"] == "The tool read_file says:\n     1\tbuy milk"
    assert "a.txt" in (await talk.result("/ls notes"))["output"]
    assert [path.read_text() for path in server.data_dir.glob("workspaces/**/notes/a.txt")].count("buy milk") == 1


async def test_every_piece_of_an_answer_is_shown_before_it_is_recorded(talk: Talk) -> None:
    _, seen = await talk.say("/write a.txt x")
    run = seen.records[0]["run_id"]
    assert {kind for _, kind in seen.closed} == {"text", "args"}
    assert seen.closed[f"{run}:0:1", "args"] == '{"path":"a.txt","content":"x"}'
    assert seen.closed[f"{run}:2:0", "text"].startswith("The tool write_file says:")


async def test_the_messages_are_what_was_said(talk: Talk) -> None:
    await talk.say("/write a.txt one")
    await talk.say("/read a.txt")
    views = await talk.messages()
    roles = [view["message"]["role"] for view in views]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2
    assert text_of(views[4]["message"]) == "/read a.txt"
    assert text_of(views[6]["message"]) == "     1\tone"
    page = await talk.api.get(f"{talk.path}/messages?limit=3")
    rest = await talk.api.get(f"{talk.path}/messages?after={page.json['next']}")
    assert page.json["messages"] + rest.json["messages"] == views
    assert "next" not in rest.json


async def test_several_calls_run_together(talk: Talk) -> None:
    _, seen = await talk.say("/write a.txt one\n/write b.txt two\n/todo look; leap")
    assert len(seen.of_type("tool.finished")) == 3
    assert (await talk.result("/read a.txt\n/read b.txt"))["output"].count("read_file says") == 2


async def test_a_tool_that_fails_is_an_answer(talk: Talk) -> None:
    result = await talk.result("/read nothing.txt")
    assert result["status"] == "completed"
    assert "failed and says" in result["output"]
    assert "escape" not in (await talk.result("/read ../../../../etc/passwd"))["output"].split("says:")[0]
    assert "root:" not in (await talk.result("/read /etc/passwd"))["output"]


async def test_a_result_instead_of_a_stream(talk: Talk) -> None:
    answer = await talk.post("hello there", stream=False, metadata={"from": "a test"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["status"] == "completed"
    assert "You said: hello there" in answer.json["output"]
    assert answer.json["usage"]["model_calls"] == 1
    run = await talk.api.get(answer.headers["Location"])
    assert run.json == {name: value for name, value in answer.json.items() if name != "output"}


async def test_a_run_in_the_background(talk: Talk) -> None:
    answer = await talk.post("/help", background=True, stream=True)
    assert answer.status == 202
    assert answer.json["status"] in {"active", "queued"}
    assert answer.headers["Location"] == f"/v1/runs/{answer.json['run_id']}"
    assert answer.headers["X-Session-Id"] == talk.session
    assert (await talk.follow(answer.json["run_id"])).status == "completed"
    assert (await talk.api.get(answer.headers["Location"])).json["status"] == "completed"


@pytest.mark.parametrize("coding", ["gzip", "gzip, deflate, br, zstd", "*"])
async def test_a_streams_head_keeps_proxies_from_holding_it_back(talk: Talk, coding: str) -> None:
    head, seen = await talk.say("/help", headers={"Accept-Encoding": coding})
    assert head.headers["content-type"].startswith("text/event-stream")
    assert head.headers["Cache-Control"] == "no-cache, no-transform"
    assert head.headers["X-Accel-Buffering"] == "no"
    assert head.headers["X-Session-Id"] == talk.session
    assert head.headers["X-Run-Id"] == seen.records[0]["run_id"]
    assert head.headers["Location"] == f"/v1/runs/{head.headers['X-Run-Id']}"
    assert "Content-Encoding" not in head.headers
    assert "server" not in head.headers


async def test_json_is_never_cached_nor_packed(talk: Talk) -> None:
    await talk.say("hello " * 200)
    answer = await talk.api.get(f"{talk.path}/messages", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in answer.headers


async def test_trap_a_viewers_disconnect_cancelled_the_run(talk: Talk) -> None:
    """A viewer that leaves in mid-answer cancels nothing; who comes later sees all of it."""
    async with talk.api.stream("POST", f"{talk.path}/runs", json={"input": "/help"}) as (head, events):
        await watch(events, until="delta")
    seen = await talk.follow(head.headers["X-Run-Id"])
    assert seen.status == "completed"


async def test_trap_requests_without_ids_shared_one_slot(api: Client) -> None:
    """Chats that name no session are each in a session of their own, and run side by side."""

    async def ask(number: int) -> tuple[str, str]:
        answer = await api.post("/v1/chat", json={"input": f"I am number {number}.", "stream": False})
        assert f"number {number}." in answer.json["output"]
        return answer.json["session_id"], answer.json["run_id"]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(8)]
    found = [task.result() for task in tasks]
    assert len({session for session, _ in found}) == len({run for _, run in found}) == 8
