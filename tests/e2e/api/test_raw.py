"""HTTP as nobody should speak it: refused or answered, never a 500, and never taken for another request."""

import asyncio

import psutil
import pytest

from tests.e2e.api.raw import CLOSE, HOST, JSON, exchange, hang_up, status_of
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.server import Server

BODY = b'{"input": "/write smuggled.txt x", "stream": false}'
CHAT = b"POST /v1/chat HTTP/1.1\r\n" + JSON
HIDDEN = (
    b"POST /v1/agents/assistant/sessions HTTP/1.1\r\n" + JSON + b'Content-Length: 26\r\n\r\n{"session_id": "smuggled"}'
)

ODD = {
    "both-lengths": CHAT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two-lengths": CHAT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} " + HIDDEN,
    "two-codings": CHAT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "odd-coding": CHAT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "hidden-coding": CHAT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "negative-length": CHAT + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "signed-length": CHAT + b"Content-Length: +2\r\n\r\n{}" + HIDDEN,
    "long-length": CHAT + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "hex-chunk": CHAT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "long-chunk": CHAT + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
    "folded": b"GET /v1/sessions HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n\r\n",
    "bare-lf": b"GET /v1/sessions HTTP/1.1\n" + HOST + b"\n",
    "bare-cr": b"GET /v1/sessions HTTP/1.1\r\n" + HOST + b"X-A: b\rX-B: c\r\n\r\n",
    "nul": b"GET /v1/sessions HTTP/1.1\r\n" + HOST + b"X-A: b\0c\r\n\r\n",
    "space-in-name": b"GET /v1/sessions HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    "space-in-path": b"GET /v1/sessions x HTTP/1.1\r\n" + HOST + b"\r\n",
    "latin-path": b"GET /v1/agents/assistant/sessions/\xe9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "utf8-path": "GET /v1/agents/assistant/sessions/é HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "unknown-method": b"FOO /v1/chat HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "http-3": b"GET /v1/sessions HTTP/3.0\r\n" + HOST + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD)
async def test_what_is_not_http_is_400_and_the_end(server: Server, api: Client, name: str) -> None:
    answer = await exchange(server, ODD[name])
    assert status_of(answer) == 400
    assert b'"code":"bad_request"' in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert (await api.get("/v1/agents/assistant/sessions/smuggled")).code == "session_not_found"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"HEAD /livez", 405),
        (b"HEAD /v1/sessions", 405),
        (b"OPTIONS /v1/chat", 405),
        (b"TRACE /v1/chat", 405),
        (b"PATCH /v1/sessions", 405),
        (b"GET /v1/chat", 405),
        (b"POST /v1/chat/", 404),
        (b"GET /v1/sessions/", 404),
        (b"GET //v1/sessions", 404),
        (b"GET /v1/../v1/sessions", 404),
        (b"GET /V1/sessions", 404),
        (b"GET /v1/sessions;a=b", 404),
        (b"OPTIONS *", 404),
        (b"GET /v1/sessions?cursor=%ff", 400),
        (b"GET /v1/agents/assistant/sessions/%ff", 400),
        (b"GET /v1/agents/assistant/sessions/%00", 422),
        (b"GET /v1/agents/assistant/sessions/%ZZ", 404),
        (b"GET http://evil.example/v1/runs/x", 404),
    ],
    ids=str,
)
async def test_a_path_and_a_method_mean_one_thing(server: Server, request_line: bytes, status: int) -> None:
    answer = await exchange(server, request_line + b" HTTP/1.1\r\n" + HOST + CLOSE)
    assert status_of(answer) == status
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert bool(body) != request_line.startswith(b"HEAD")
    assert (b"\r\nallow: " in head.lower()) == (status == 405)


@pytest.mark.parametrize("hosts", [b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n"], ids=["none", "two"])
async def test_a_request_has_one_host(server: Server, hosts: bytes) -> None:
    assert status_of(await exchange(server, b"GET /v1/sessions HTTP/1.1\r\n" + hosts + CLOSE)) == 403


async def test_requests_may_be_sent_together(server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\n" + HOST
    assert (await exchange(server, (one + b"\r\n") * 20 + one + CLOSE)).count(b"HTTP/1.1 200 OK") == 21


async def test_an_offer_to_speak_something_else_is_passed_over(server: Server) -> None:
    for offer in (b"websocket", b"h2c"):
        upgrade = b"Upgrade: " + offer + b"\r\nConnection: upgrade, close\r\n\r\n"
        assert status_of(await exchange(server, b"GET /livez HTTP/1.1\r\n" + HOST + upgrade)) == 200


async def test_a_head_beyond_the_limit_is_refused(server: Server) -> None:
    for head in (b"X-A: %b\r\n" % (b"a" * 40_000), b"X-A: bbbbbbbb\r\n" * 4_000, b"Cookie: %b\r\n" % (b"a" * 900_000)):
        answer = await exchange(server, b"GET /v1/sessions HTTP/1.1\r\n" + HOST + head + CLOSE)
        assert status_of(answer) == 431
    assert status_of(await exchange(server, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + CLOSE)) == 431


async def test_a_head_that_never_ends_takes_no_memory(server: Server) -> None:
    """The server stops reading, whether the client goes on with one header, with many, or with the path."""
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    for start, more in ((b"GET / HTTP/1.1\r\n", b"X-A: b\r\n"), (b"GET / HTTP/1.1\r\nX: ", b"a"), (b"GET /", b"a")):
        assert await _flood(server, start, more * 65_536), "the server read all of it"
    assert process.memory_info().rss - before < 24 * 1024 * 1024


async def _flood(server: Server, start: bytes, more: bytes) -> bool:
    """Says whether the server closed the connection within 32 MiB."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(start)
        for _ in range(32 * 1024 * 1024 // len(more)):
            writer.write(more)
            async with asyncio.timeout(5):
                await writer.drain()
    except ConnectionError:
        return True
    finally:
        writer.close()
    return False


UPLOADS = {
    "length": CHAT + b"Content-Length: 60\r\n\r\n" + BODY[:30],
    "chunked": CHAT + b"Transfer-Encoding: chunked\r\n\r\n33\r\n" + BODY,
    "whole-but-for-one-byte": CHAT + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1) + BODY,
    "nothing": CHAT + b"Content-Length: 60\r\n\r\n",
    "continue": CHAT + b"Expect: 100-continue\r\nContent-Length: 60\r\n\r\n",
    "in-the-head": CHAT + b"Content-Le",
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("name", UPLOADS)
async def test_a_disconnect_in_mid_upload_starts_nothing(server: Server, api: Client, name: str, reset: bool) -> None:
    session = b'"session_id": "upload-%b-%d", ' % (name.encode(), reset)
    await hang_up(server, UPLOADS[name].replace(b'{"input"', b"{" + session + b'"input"'), reset=reset)
    assert (await api.get(f"/v1/agents/assistant/sessions/upload-{name}-{int(reset)}")).code == "session_not_found"
    assert (await Talk(api).result("still there?"))["status"] == "completed"
    assert '"level": "error"' not in server.stderr


async def test_who_leaves_before_the_result_cancels_nothing(server: Server, talk: Talk) -> None:
    body = b'{"input": "/help", "stream": false}'
    head = f"POST {talk.path}/runs HTTP/1.1\r\n".encode() + JSON + b"Content-Length: %d\r\n\r\n" % len(body)
    await hang_up(server, head + body)
    await talk.result("and now?")
    assert [role for role, _ in await talk.said()] == ["user", "assistant"] * 2 or await _both_answered(talk)


async def _both_answered(talk: Talk) -> bool:
    return sorted(role for role, _ in await talk.said()) == ["assistant"] * 2 + ["user"] * 2
