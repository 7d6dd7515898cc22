"""Whatever comes in, a clear answer goes out, and never a 500."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import client_of
from tests.api.fake_engine import FakeEngine
from tests.support.http import Client

SESSIONS = "/v1/agents/assistant/sessions"
JSON = {"Content-Type": "application/json"}
RUN = "run_0123456789abcdef_abc"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/agents/nobody/sessions", "agent_not_found"),
        ("GET", "/v1/agents/assistant/sessions/none", "session_not_found"),
        ("GET", "/v1/agents/assistant/sessions/none/messages", "session_not_found"),
        ("GET", "/v1/agents/assistant/sessions/none/events", "session_not_found"),
        ("DELETE", "/v1/agents/assistant/sessions/none", "session_not_found"),
        ("GET", "/v1/agents/NOT%20AN%20ID/sessions/s", "agent_not_found"),
        ("GET", f"/v1/runs/{RUN}", "run_not_found"),
        ("GET", f"/v1/runs/{RUN}/events", "run_not_found"),
        ("POST", f"/v1/runs/{RUN}/cancel", "run_not_found"),
        ("GET", "/v1/runs/%F0%9F%9C%81", "run_not_found"),
        ("GET", "/v1/nothing", "not_found"),
        ("GET", "/v1/chat/", "not_found"),
        ("GET", "//", "not_found"),
    ],
)
async def test_what_is_not_there_is_404(api: Client, method: str, path: str, code: str) -> None:
    answer = await api.call(method, path)
    assert (answer.status, answer.code) == (404, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_agent_in_a_chat_is_404(api: Client) -> None:
    assert (await api.post("/v1/chat", json={"input": "hi", "agent": "nobody"})).code == "agent_not_found"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"input": "hi"',
        b"\xff\xfe\x00",
        b'{"input": "\xff"}',
        b"[" * 100_000,
        b'{"input": 1e',
        b"9" * 9999,
    ],
    ids=["brace", "word", "cut", "binary", "latin", "deep", "number", "digits"],
)
async def test_a_body_that_is_not_json_is_400(api: Client, engine: FakeEngine, body: bytes) -> None:
    answer = await api.post("/v1/chat", data=body, headers=JSON)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert engine.invocations == []


BAD_BODIES: dict[str, Any] = {
    "none": None,
    "list": [],
    "text": "hi",
    "empty": {},
    "no-input": {"agent": "assistant"},
    "null-input": {"input": None},
    "empty-input": {"input": ""},
    "number-input": {"input": 7},
    "no-parts": {"input": []},
    "many-parts": {"input": [{"type": "text", "text": "x"}] * 65},
    "image": {"input": [{"type": "image", "url": "x"}]},
    "untyped-part": {"input": [{"text": "x"}]},
    "part-with-more": {"input": [{"type": "text", "text": "x", "blob": {}}]},
    "bad-part": {"input": ["x"]},
    "surrogate": {"input": "\ud800"},
    "surrogate-key": {"input": "x", "\ud800": 1},
    "string-stream": {"input": "x", "stream": "true"},
    "number-stream": {"input": "x", "stream": 1},
    "busy": {"input": "x", "on_busy": "ignore"},
    "busy-number": {"input": "x", "on_busy": 3},
    "unknown": {"input": "x", "inputs": "x"},
    "agent-path": {"input": "x", "agent": "../x"},
    "agent-case": {"input": "x", "agent": "Assistant"},
    "agent-newline": {"input": "x", "agent": "assistant\n"},
    "session-number": {"input": "x", "session_id": 1},
    "session-empty": {"input": "x", "session_id": ""},
    "session-slash": {"input": "x", "session_id": "a/b"},
    "session-dots": {"input": "x", "session_id": ".."},
    "session-nul": {"input": "x", "session_id": "a\0b"},
    "session-newline": {"input": "x", "session_id": "a\n"},
    "session-c1": {"input": "x", "session_id": "a\x85"},
    "session-surrogate": {"input": "x", "session_id": "\udcff"},
    "session-long": {"input": "x", "session_id": "a" * 129},
    "metadata-list": {"input": "x", "metadata": []},
    "metadata-deep": {"input": "x", "metadata": {"a": {"b": 1}}},
    "metadata-many": {"input": "x", "metadata": {str(n): "" for n in range(17)}},
    "metadata-long": {"input": "x", "metadata": {"a": "b" * 513}},
    "metadata-key": {"input": "x", "metadata": {"a" * 65: ""}},
    "metadata-total": {"input": "x", "metadata": {str(n): "🜁" * 500 for n in range(10)}},
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_means_nothing_is_422(api: Client, engine: FakeEngine, name: str) -> None:
    answer = await api.post("/v1/chat", data=json.dumps(BAD_BODIES[name]).encode(), headers=JSON)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert answer.json["errors"][0]["loc"][0] == "body"
    assert len(answer.body) < 8000
    assert engine.invocations == []


async def test_a_problem_repeats_little_of_the_request(api: Client) -> None:
    body = {"x" * 5000 + str(number): "y" * 5000 for number in range(100)}
    answer = await api.post("/v1/chat", json=body)
    assert answer.status == 422
    assert len(answer.body) < 8000
    assert b"yyy" not in answer.body


async def test_another_media_type_is_415(api: Client) -> None:
    """A form of a foreign page can send text/plain without asking; so only JSON is read."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        for path in ("/v1/chat", SESSIONS):
            answer = await api.post(path, data=b'{"input": "hi"}', headers={"Content-Type": kind})
            assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat", SESSIONS, "/nowhere", f"/v1/runs/{RUN}/cancel"])
async def test_a_body_beyond_the_limit_is_413(engine: FakeEngine, path: str, chunked: bool) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1000

    async with client_of(engine, max_body=10_000) as api:
        answer = await api.post(path, data=chunks() if chunked else b" " * 20_000, headers=JSON)
        reads_it = path in {"/v1/chat", SESSIONS} or not chunked
        assert answer.status == 413 if reads_it else answer.status == 404
    assert engine.invocations == []


async def test_a_head_beyond_the_limit_is_431(api: Client) -> None:
    for request in ({"headers": {"X-Long": "x" * 40_000}}, {"headers": {f"X-{n}": "x" * 1000 for n in range(40)}}):
        answer = await api.get("/v1/sessions", **request)
        assert (answer.status, answer.code) == (431, "headers_too_large")
    assert (await api.get("/v1/sessions?cursor=" + "x" * 40_000)).status == 431


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb"])
async def test_an_idempotency_key_is_bounded(api: Client, engine: FakeEngine, key: str) -> None:
    answer = await api.post("/v1/chat", json={"input": "hi"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])
    assert engine.invocations == []


@pytest.mark.parametrize("place", ["session", "run"])
@pytest.mark.parametrize(
    "cursor", ["x", "a.b", "-1", "1.2.3", "b1rth.1:2", "é", "x" * 300, "b1rth.99999999999999999999"]
)
async def test_a_bad_last_event_id_is_400(api: Client, place: str, cursor: str) -> None:
    made = await api.post(f"{SESSIONS}/s1/runs", json={"input": "hi", "background": True})
    path = f"{SESSIONS}/s1" if place == "session" else made.headers["Location"]
    answer = await api.get(f"{path}/events", headers={"Last-Event-ID": cursor})
    assert (answer.status, answer.code) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=1.5",
        "after=99999999999999999999",
        "limit=0",
        "limit=201",
        "limit=x",
        "after=",
        "before=3",
    ],
)
async def test_a_bad_query_is_422(api: Client, query: str) -> None:
    await api.post(SESSIONS, json={"session_id": "s1"})
    answer = await api.get(f"{SESSIONS}/s1/messages?{query}")
    assert (answer.status, answer.json["errors"][0]["loc"][0]) == (422, "query")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat"),
        ("POST", SESSIONS),
        ("GET", "/v1/sessions"),
        ("GET", f"{SESSIONS}/s1"),
        ("DELETE", f"{SESSIONS}/s1"),
        ("GET", f"{SESSIONS}/s1/events"),
        ("GET", f"/v1/runs/{RUN}"),
        ("GET", f"/v1/runs/{RUN}/events"),
        ("POST", f"/v1/runs/{RUN}/cancel"),
    ],
)
async def test_an_unknown_parameter_is_refused(api: Client, method: str, path: str) -> None:
    body = {"json": {"input": "hi"} if path == "/v1/chat" else {}} if method == "POST" else {}
    answer = await api.call(method, f"{path}?surprise=1", **body)
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["query", "surprise"])


async def test_a_bad_page_cursor_is_400(api: Client) -> None:
    assert (await api.get("/v1/sessions?cursor=%00%01")).code == "bad_cursor"
    assert (await api.get("/v1/sessions?cursor=")).status == 422


@pytest.mark.parametrize("path", [f"{SESSIONS}/s1%2Fruns", f"{SESSIONS}%2fs1/runs", "/v1%2Fchat"])
async def test_an_encoded_slash_is_no_slash(api: Client, engine: FakeEngine, path: str) -> None:
    """Else a path would mean one thing to a proxy and another here."""
    answer = await api.post(path, json={"input": "hi"})
    assert (answer.status, answer.code) == (404, "not_found")
    assert engine.logs == {}


async def test_a_wrong_method_names_the_right_ones(api: Client) -> None:
    answer = await api.call("PUT", f"{SESSIONS}/s1")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    "segment",
    [
        "..",
        "%2e%2e",
        ".",
        "%2E",
        "..%2f..%2fetc",
        "a%2Fb",
        "a%00b",
        "a%0Ab",
        "%7f",
        "%C2%85",
        "%ff",
        "%ED%A0%80",
        "a" * 129,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_trap_unvalidated_session_ids_in_paths(
    api: Client, engine: FakeEngine, method: str, segment: str
) -> None:
    """A session id from a path that could be read as another path, or not at all, reaches nothing."""
    path = f"{SESSIONS}/{segment}" + ("/runs" if method == "POST" else "")
    answer = await api.call(method, path, **({"json": {"input": "hi"}} if method == "POST" else {}))
    assert answer.status in {400, 404, 422}
    assert answer.code in {"bad_request", "not_found", "invalid_input"}
    assert engine.logs == {}


@pytest.mark.parametrize(
    "start",
    [
        b'Content-Length: 100\r\n\r\n{"input": ',
        b'Transfer-Encoding: chunked\r\n\r\na\r\n{"input": ',
        b"Content-Length: 9\r\n\r\n",
    ],
)
async def test_a_disconnect_in_mid_upload_starts_nothing(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture, start: bytes
) -> None:
    async with client_of(engine) as api:
        address = urlsplit(api.base)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        head = b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Type: application/json\r\n"
        writer.write(head + start)
        await writer.drain()
        assert (await api.get("/livez")).status == 200
        writer.close()
        await writer.wait_closed()
    assert engine.invocations == []
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
