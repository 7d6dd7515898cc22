"""Streams over real sockets: resuming, leaving, slow readers, and errors before and after the first frame."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from urllib.parse import urlsplit

import pytest

from app.core.errors import StoreUnavailable
from tests.api.conftest import ALICE, client_of
from tests.api.fake_engine import FakeEngine
from tests.support.http import Client
from tests.support.sse import parse_frame

RUNS = "/v1/agents/assistant/sessions/s1/runs"
EVENTS = "/v1/agents/assistant/sessions/s1/events"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


class Scripted(FakeEngine):
    """An engine whose streams are a generator of the test's own."""

    def __init__(self, script: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        super().__init__()
        self._script = script

    def watched(self, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        return super().watched(self._script())


@pytest.mark.parametrize("way", ["header", "query", "both"])
async def test_a_stream_goes_on_after_the_last_event(api: Client, way: str) -> None:
    async with api.stream("POST", RUNS, json={"input": "hi"}) as (answer, events):
        seen = [event async for event in events]
    query = {"header": "", "query": f"?after={seen[1].data['seq']}", "both": "?after=0"}[way]
    headers = {} if way == "query" else {"Last-Event-ID": seen[1].id}
    path = f"{answer.headers['Location']}/events{query}"
    async with api.stream("GET", path, headers=headers) as (again, events):
        assert [event async for event in events] == seen[2:]
    assert again.headers["X-Run-Id"] == answer.headers["X-Run-Id"]


async def test_an_empty_last_event_id_is_none(api: Client) -> None:
    await api.post(RUNS, json={"input": "hi", "background": True})
    async with api.stream("GET", EVENTS, headers={"Last-Event-ID": ""}) as (answer, events):
        assert (await anext(events)).name == "session.created"
    assert answer.headers["X-Session-Id"] == "s1"
    assert "X-Run-Id" not in answer.headers


async def test_a_session_stream_sees_later_runs(busy_api: Client, busy: FakeEngine) -> None:
    first = await busy_api.post(RUNS, json={"input": "hi", "background": True})
    async with busy_api.stream("GET", f"{EVENTS}?after=3") as (_, events):
        busy.finish(first.json["run_id"])
        assert [(await anext(events)).name for _ in range(2)] == ["message.appended", "run.finished"]
        await busy_api.post(RUNS, json={"input": "more", "background": True})
        assert (await anext(events)).name == "run.queued"


async def test_ten_thousand_records_are_replayed(api: Client, engine: FakeEngine) -> None:
    await api.post(RUNS, json={"input": "hi", "background": True})
    log = next(iter(engine.logs.values()))
    log.append(*(log.entries[1].record for _ in range(10_000)))
    async with api.stream("GET", EVENTS) as (_, events):
        seqs = [(await anext(events)).data["seq"] for _ in range(10_005)]
    assert seqs == list(range(1, 10_006))


async def test_trap_viewer_disconnect_cancels_run(busy_api: Client, busy: FakeEngine) -> None:
    """A viewer that leaves closes its stream's generator, and the run goes on."""
    async with busy_api.stream("POST", RUNS, json={"input": "hi"}) as (answer, events):
        await anext(events)
        assert (busy.opened, busy.closed) == (1, 0)
    await until(lambda: busy.closed == 1)
    assert (await busy_api.get(answer.headers["Location"])).json["status"] == "active"


async def test_a_client_that_stops_waiting_cancels_nothing(busy_api: Client, busy: FakeEngine) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(busy_api.post(RUNS, json={"input": "hi", "stream": False}))
        await until(lambda: busy.opened == 1)
        waiting.cancel()
    await until(lambda: busy.closed == 1)
    view = next(iter(busy.logs.values())).view()
    assert (view.status, view.run_id) == ("owned", view.run_id)


async def test_a_slow_reader_holds_back_its_own_stream_only() -> None:
    """What it does not read is not produced: the generator waits for the socket."""
    made = 0

    async def flood() -> AsyncGenerator[bytes, None]:
        nonlocal made
        while True:
            made += 1
            yield b": " + b"x" * 65_000 + b"\n\n"

    engine = Scripted(flood)
    async with client_of(engine) as api:
        address = urlsplit(api.base)
        sock = socket.create_connection((address.hostname or "", address.port or 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nContent-Type: application/json\r\n"
        body = b"Content-Length: 14\r\n\r\n" + b'{"input":"hi"}'
        sock.sendall(request % (RUNS.encode(), ALICE["Authorization"].encode()) + body)
        seen = -1
        while seen != made or made == 0:
            seen = made
            assert (await api.get("/livez")).status == 200
        assert made < 500
        sock.close()
        await until(lambda: engine.closed == 1)


async def test_trap_exception_in_generator_gave_200_with_empty_body() -> None:
    """An error before the first frame is a problem response with its own status."""

    async def broken() -> AsyncGenerator[bytes, None]:
        raise StoreUnavailable("secret://address")
        yield b""

    engine = Scripted(broken)
    async with client_of(engine) as api:
        answer = await api.post(RUNS, json={"input": "hi"})
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert b"secret" not in answer.body
    assert engine.closed == 1


async def test_an_error_later_ends_the_stream_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def breaking() -> AsyncGenerator[bytes, None]:
        yield b"retry: 1000\n\n"
        raise RuntimeError("secret")

    async with (
        client_of(Scripted(breaking)) as api,
        api.session.post(api.base + RUNS, json={"input": "hi"}) as response,
    ):
        assert (response.status, await response.read()) == (200, b"retry: 1000\n\n")
    assert "broke off" in caplog.text


async def test_trap_crlf_frames(api: Client) -> None:
    """Frames use LF only: id, event, one line of data, an empty line."""
    async with api.session.post(api.base + RUNS, json={"input": "a\r\nb\rc\u2028d"}) as response:
        body = await response.read()
    assert b"\r" not in body
    frames = [parse_frame(frame) for frame in body.split(b"\n\n") if frame]
    queued = next(frame for frame in frames if frame is not None)
    assert queued.data["input"][0]["text"] == "a\r\nb\rc\u2028d"
