"""Whatever comes in, a clear answer goes out, never a 500, and the server goes on."""

import json
from typing import Any

import pytest

from tests.e2e.api.raw import JSON as TYPED
from tests.e2e.api.raw import exchange, status_of
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.server import Server

SESSIONS = "/v1/agents/assistant/sessions"
RUN = "run_0123456789abcdef_abc"
CLOSING = TYPED + b"Connection: close\r\n"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/agents/nobody/sessions", "agent_not_found"),
        ("POST", "/v1/agents/nobody/sessions/s/runs", "agent_not_found"),
        ("GET", "/v1/agents/nobody/sessions/s", "session_not_found"),
        ("GET", f"{SESSIONS}/none", "session_not_found"),
        ("GET", f"{SESSIONS}/none/messages", "session_not_found"),
        ("GET", f"{SESSIONS}/none/events", "session_not_found"),
        ("DELETE", f"{SESSIONS}/none", "session_not_found"),
        ("GET", f"/v1/runs/{RUN}", "run_not_found"),
        ("GET", f"/v1/runs/{RUN}/events", "run_not_found"),
        ("POST", f"/v1/runs/{RUN}/cancel", "run_not_found"),
        ("GET", "/v1/runs/%F0%9F%9C%81", "run_not_found"),
        ("GET", "/v1/nothing", "not_found"),
        ("GET", "/v1/agents/ASSISTANT/sessions/s", "agent_not_found"),
    ],
)
async def test_what_is_not_there_is_404(api: Client, method: str, path: str, code: str) -> None:
    body = {"json": {"input": "hi"}} if path.endswith("runs") else {}
    answer = await api.call(method, path, **body)
    assert (answer.status, answer.code) == (404, code)


async def test_an_unknown_agent_makes_no_session(api: Client, talk: Talk) -> None:
    answer = await api.post("/v1/chat", json={"input": "hi", "agent": "nobody", "session_id": talk.session})
    assert (answer.status, answer.code) == (404, "agent_not_found")
    assert (await api.get(f"/v1/agents/nobody/sessions/{talk.session}")).status == 404


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"input": "hi"', b"\xff\xfe\x00", b'{"input": "\xff"}', b'{"input": "\xed\xa0\x80"}',
     b"\0" * 99, b"[" * 100_000, b'{"input":' * 100_000, b"9" * 9999, b'{"input": NaN}x',
     '{"input": "hi"}'.encode("utf-16"), '{"input": "hi"}'.encode("utf-16-le")],
    ids=["brace", "word", "cut", "binary", "latin", "surrogate", "nuls", "deep", "deeper", "digits", "nan", "utf-16",
         "utf-16-le"],
)  # fmt: skip
async def test_a_body_that_is_not_json_is_400(api: Client, body: bytes) -> None:
    for path in ("/v1/chat", SESSIONS, f"{SESSIONS}/s/runs"):
        answer = await api.post(path, data=body, headers=JSON)
        assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize(
    "body",
    [None, [], "hi", 7, {}, {"input": None}, {"input": 7}, {"input": {"text": "x"}}, {"input": ""}, {"input": []},
     {"input": [{"type": "image"}]}, {"input": "\ud800"}, {"input": "x", "\udfff": 1}, {"input": "x", "stream": "no"},
     {"input": "x", "background": 1}, {"input": "x", "on_busy": "ignore"}, {"input": "x", "more": 1},
     {"input": "x", "metadata": {"a": 1}}, {"input": "x", "metadata": {"a": "\ud800"}}, {"input": float("nan")}],
    ids=ascii,
)  # fmt: skip
async def test_wrong_types_are_422(api: Client, body: Any) -> None:
    for path in ("/v1/chat", f"{SESSIONS}/s/runs"):
        answer = await api.post(path, data=json.dumps(body), headers=JSON)
        assert (answer.status, answer.code) == (422, "invalid_input")
        assert answer.json["errors"]


BAD_NAMES: list[Any] = [
    "",
    ".",
    "..",
    "a/b",
    "a\0b",
    "\0",
    "a\nb",
    "\x7f",
    "\x85",
    "\ud800",
    "x" * 129,
    "🜁" * 129,
    7,
    ["s"],
    {},
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
async def test_bad_session_ids_in_bodies_are_422(api: Client, name: Any) -> None:
    for path, more in (("/v1/chat", {"input": "hi"}), (SESSIONS, {})):
        answer = await api.post(path, data=json.dumps({"session_id": name, **more}), headers=JSON)
        assert (answer.status, answer.code) == (422, "invalid_input")
        assert answer.json["errors"][0]["loc"] == ["body", "session_id"]


@pytest.mark.parametrize(
    "segment",
    ["..", "%2e%2e", ".", "%2E", "a%2Fb", "..%2f..%2fetc%2fpasswd", "%00", "a%0Ab", "%7f", "%C2%85", "%ff", "%ED%A0%80",
     "%C0%AF", "a" * 129, "%F0%9F%9C%81" * 129],
)  # fmt: skip
@pytest.mark.parametrize("what", ["GET", "DELETE", "messages", "events", "runs"])
async def test_trap_unvalidated_session_ids_in_paths(api: Client, what: str, segment: str) -> None:
    """A session id from a path that could be read as another path, or not at all, reaches nothing."""
    path = f"{SESSIONS}/{segment}" + ("" if what.isupper() else f"/{what}")
    method = what if what.isupper() else "POST" if what == "runs" else "GET"
    answer = await api.call(method, path, **({"json": {"input": "hi"}} if what == "runs" else {}))
    assert answer.status in {400, 404, 422}
    assert answer.code in {"bad_request", "not_found", "invalid_input"}


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_oversized_body_is_413(server: Server, talk: Talk, chunked: bool) -> None:
    """Whatever it says of its length, it is refused before all of it was read."""
    size = 2_000_000
    coding = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    for path in ("/v1/chat", SESSIONS, f"{talk.path}/runs"):
        request = b"POST %b HTTP/1.1\r\n" % path.encode() + CLOSING + coding + b'{"input": "' + b"x" * 1_100_000
        answer = await exchange(server, request)
        assert status_of(answer) == 413
        assert b'"code":"content_too_large"' in answer
    assert (await talk.api.get(talk.path)).code == "session_not_found"


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 200), (1024 * 1024 + 1, 413)])
async def test_the_limit_is_exact(server: Server, talk: Talk, size: int, status: int) -> None:
    body = b'{"input": "hi", "stream": false}'.ljust(size)
    head = f"POST {talk.path}/runs HTTP/1.1\r\n".encode() + CLOSING + b"Content-Length: %d\r\n\r\n" % size
    assert status_of(await exchange(server, head + body)) == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "*/*"])
async def test_another_media_type_is_415(api: Client, kind: str) -> None:
    answer = await api.post("/v1/chat", data=b'{"input": "hi"}', headers={"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "cursor",
    ["x", "a.b", "-1", "1.2.3", "b1rth.1:2", "\xe9", "x" * 300, "b.99999999999999999999", "b.1:1.1:1", "B1.1", "b.1 x",
     "٣", "1e3", "0x1", "b..1", ":1.1", "1:1.1"],
)  # fmt: skip
async def test_a_bad_last_event_id_is_400(talk: Talk, cursor: str) -> None:
    run = await talk.start("hi")
    for path in (f"{talk.path}/events", f"/v1/runs/{run}/events"):
        answer = await talk.api.get(path, headers={"Last-Event-ID": cursor})
        assert (answer.status, answer.code) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "cursor",
    ["x", "%00%01", "%F0%9F%9C%81", "bnVsbA", "W10", "WzEsMl0", "WzEsIlx1ZDgwMCJd", "WzFlOTk5LCJzIl0", "WyIxIiwicyJd",
     "WzEsInMiLDFd", "a" * 512, "=", "===="],
)  # fmt: skip
async def test_a_bad_page_cursor_is_400(api: Client, cursor: str) -> None:
    answer = await api.get(f"/v1/sessions?cursor={cursor}")
    assert (answer.status, answer.code) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1.5", "after=" + "9" * 20, "limit=0", "limit=201", "after=", "a=b"]
)
async def test_a_bad_query_is_422(talk: Talk, query: str) -> None:
    await talk.say("hi")
    answer = await talk.api.get(f"{talk.path}/messages?{query}")
    assert (answer.status, answer.code) == (422, "invalid_input")


async def test_after_the_end_there_are_no_messages(talk: Talk) -> None:
    await talk.say("hi")
    assert (await talk.api.get(f"{talk.path}/messages?after={10**17}")).json == {"messages": []}


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe9", "a\tb"])
async def test_a_bad_idempotency_key_is_422(api: Client, key: str) -> None:
    answer = await api.post("/v1/chat", json={"input": "hi"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


TEXTS = [
    "a\0b",
    "\0",
    "\x01\x1b[31m\x7f",
    "\ufeffx",
    "\ufffe\uffff",
    "\U0010ffff",
    "\r\n\u2028",
    "\u0085",
    "  ",
    "e\u0301\u200d\u202e",
    "🜁" * 999,
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_any_unicode_text_comes_through(talk: Talk, text: str) -> None:
    _, seen = await talk.say(text)
    assert seen.status == "completed"
    assert (await talk.said())[0] == ("user", text)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00\x01", b"caf\xe9", b"\0" * 100, b"\x89PNG\r\n\x1a\n", b"\xed\xa0\x80"], ids=repr
)
async def test_files_that_are_no_text_are_answers(server: Server, talk: Talk, data: bytes) -> None:
    await talk.say("/write blob.bin x")
    (path,) = server.data_dir.glob(f"workspaces/**/{talk.session}/**/blob.bin")
    path.write_bytes(data)
    (path.parent / "caf\udce9.txt").write_text("x")
    result = await talk.result("/read blob.bin\n/ls\n/grep x")
    assert result["status"] == "completed"
    assert "failed and says" in result["output"]
    assert "blob.bin" in result["output"]


async def test_paths_with_nul_or_odd_unicode_are_answers(talk: Talk) -> None:
    paths = ("a\0b", "..", "\u202e.txt", "x" * 300, "\ufffe")
    for verb, rest in (("read", ""), ("write", " x")):
        result = await talk.result("\n".join(f"/{verb} {path}{rest}" for path in paths))
        assert result["status"] == "completed"
        assert result["output"].count("The tool") == len(paths)
