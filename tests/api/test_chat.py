"""An input and its three answers."""

import asyncio

from msgspec.structs import replace

from app.core.ids import RunId
from app.core.records import Busy
from tests.api.fake_engine import FakeEngine
from tests.support.http import Client

RUNS = "/v1/agents/assistant/sessions/s1/runs"


async def test_a_chat_streams_its_run(api: Client) -> None:
    async with api.stream("POST", "/v1/chat", json={"input": "hi"}) as (answer, events):
        names = [event.name async for event in events]
    assert names == ["run.queued", "run.started", "message.appended", "run.finished"]
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Location"] == f"/v1/runs/{answer.headers['X-Run-Id']}"
    assert answer.headers["X-Session-Id"].startswith("ses_")


async def test_a_chat_without_stream_answers_with_the_result(api: Client, engine: FakeEngine) -> None:
    answer = await api.post(RUNS, json={"input": [{"type": "text", "text": "hi"}], "stream": False})
    assert answer.status == 200
    assert answer.json["output"] == "an answer"
    assert answer.json["status"] == "completed"
    assert answer.json["run_id"] == answer.headers["X-Run-Id"]


async def test_the_output_is_that_runs_even_in_a_long_session(api: Client, engine: FakeEngine) -> None:
    key = {"Idempotency-Key": "k"}
    first = await api.post(RUNS, json={"input": "one", "stream": False}, headers=key)
    log = next(iter(engine.logs.values()))
    for number in range(300):
        await run_directly(engine, f"later {number}")
    assert log.seq > 1200
    engine.pages = 0
    again = await api.post(RUNS, json={"input": "one", "stream": False}, headers=key)
    assert again.json == first.json
    assert engine.pages == 1


async def run_directly(engine: FakeEngine, text: str) -> None:
    who, invocation = engine.invocations[0]
    engine.hold = True
    accepted = await engine.submit(who, replace(invocation, idempotency_key=None))
    engine.finish(accepted.run_id, text)


async def test_the_result_waits_for_the_run(busy_api: Client, busy: FakeEngine) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(busy_api.post(RUNS, json={"input": "hi", "stream": False}))
        async with asyncio.timeout(5):
            while not busy.opened:
                await asyncio.sleep(0.01)
        assert not waiting.done()
        busy.finish(RunId(next(iter(busy.logs.values())).active or ""), "at last")
    assert waiting.result().json["output"] == "at last"


async def test_background_answers_at_once(busy_api: Client) -> None:
    answer = await busy_api.post("/v1/chat", json={"input": "hi", "background": True})
    assert answer.status == 202
    assert answer.json["status"] == "active"
    assert (await busy_api.get(answer.headers["Location"])).json == answer.json


async def test_the_body_reaches_the_engine_as_it_was_meant(api: Client, engine: FakeEngine) -> None:
    body = {"input": "hé", "on_busy": "reject", "metadata": {"a": "b"}, "agent": "assistant", "session_id": "s 1"}
    answer = await api.post("/v1/chat", json={**body, "stream": False}, headers={"Idempotency-Key": "k1"})
    who, invocation = engine.invocations[0]
    assert (who.tenant, who.user) == ("t1", "alice")
    assert (invocation.session, invocation.policy, invocation.metadata) == ("s 1", Busy.REJECT, {"a": "b"})
    assert invocation.idempotency_key == "k1"
    assert answer.headers["X-Session-Id"] == "s%201"


async def test_a_repeat_under_the_same_key_is_the_same_run(api: Client) -> None:
    first, second = [
        await api.post("/v1/chat", json={"input": "hi", "background": True}, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    other = await api.post("/v1/chat", json={"input": "ho"}, headers={"Idempotency-Key": "k"})
    assert first.json == second.json
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_a_busy_session_names_the_run(busy_api: Client) -> None:
    first = await busy_api.post(RUNS, json={"input": "hi", "background": True})
    answer = await busy_api.post(RUNS, json={"input": "ho", "on_busy": "reject"})
    assert (answer.status, answer.code) == (409, "session_busy")
    assert answer.json["run_id"] == first.json["run_id"]
    assert answer.json["type"] == "urn:baton:problem:session_busy"


async def test_a_full_queue_says_when_to_come_back(busy_api: Client) -> None:
    for _ in range(3):
        await busy_api.post(RUNS, json={"input": "hi", "background": True})
    answer = await busy_api.post(RUNS, json={"input": "hi"})
    assert (answer.status, answer.code) == (429, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_draining_replica_sends_inputs_elsewhere(api: Client, engine: FakeEngine) -> None:
    engine.draining = True
    answer = await api.post("/v1/chat", json={"input": "hi"})
    assert (answer.status, answer.code) == (503, "draining")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await api.get("/readyz")).status == 503
    assert (await api.get("/livez")).json["status"] == "ok"
    assert (await api.get("/health")).json["status"] == "draining"


async def test_a_replica_that_does_not_reach_its_store_is_not_ready(api: Client, engine: FakeEngine) -> None:
    engine.lost = True
    answer = await api.get("/readyz")
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert (await api.get("/livez")).json["status"] == "ok"
    assert (await api.get("/health")).json["status"] == "cut_off"


async def test_cancel_stops_a_run_once(busy_api: Client) -> None:
    run = (await busy_api.post(RUNS, json={"input": "hi", "background": True})).json["run_id"]
    for _ in range(2):
        answer = await busy_api.post(f"/v1/runs/{run}/cancel")
        assert (answer.status, answer.json["status"]) == (200, "cancelled")
