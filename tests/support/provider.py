"""A provider that speaks the real chat completions wire format over a real socket, and does what a test tells it.

    async with FakeProvider() as provider:
        provider.add(answer("Hel", "lo"))                      # one reply per request, in order
        provider.add(refusal(429, "slow down", {"Retry-After": "2"}))
        provider.add(answer("Hel", end=RESET))                 # the connection is reset in mid-stream
        ... point a client at provider.base_url ...
        assert provider.requests[0].body["model"] == "m"

A request that finds no reply waiting is answered by `respond(request)` if the provider was given one, else with 400.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


End = Literal["close", "reset", "stall"]
RESET: End = "reset"
"""The connection is reset (RST)."""
STALL: End = "stall"
"""Nothing more is sent, and the connection stays open until the client closes it."""

Step = bytes | Pause | asyncio.Event
"""What a reply does next: writes, waits for a time, or waits until the test sets the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one request is answered. `gate`, if given, is waited for before the head is sent."""

    steps: Sequence[Step] = ()
    end: End = "close"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    gate: asyncio.Event | None = None


@dataclass(slots=True, kw_only=True)
class Request:
    """A request as it came. `gone` is set once the client has closed the connection before the reply's end."""

    headers: Mapping[str, str]
    raw: bytes
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)


def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Gives a chunk as OpenAI writes it."""
    choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
    return envelope([choice]) | more


def envelope(choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Gives the fields that every chunk has."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "fake",
        "choices": list(choices),
        "usage": usage,
    }


def call_chunks(index: int, call_id: str, name: str, *fragments: str) -> Iterator[dict[str, Any]]:
    """Gives the chunks of one tool call: its id and name first, then its arguments."""
    head = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    yield chunk({"tool_calls": [head]})
    for fragment in fragments:
        yield chunk({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})


def usage_chunk(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """Gives the last chunk, which has no choices."""
    numbers = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return envelope([], numbers | {"prompt_tokens_details": {"cached_tokens": cached}})


def sse(payload: Mapping[str, Any]) -> bytes:
    """Gives the payload as one event."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def stream(payloads: Iterable[Mapping[str, Any]], *, delay: float = 0.0, end: End = "close") -> Reply:
    """Gives a reply of those chunks, `delay` seconds before each, and `[DONE]` unless it ends badly."""
    steps: list[Step] = []
    for payload in payloads:
        steps += [Pause(delay), sse(payload)] if delay else [sse(payload)]
    return Reply(steps=[*steps, DONE] if end == "close" else steps, end=end)


def answer(
    *texts: str,
    calls: Sequence[tuple[str, str, str]] = (),
    usage: tuple[int, int] = (10, 5),
    delay: float = 0.0,
    end: End = "close",
) -> Reply:
    """Gives an answer: the texts, then the calls as (id, name, arguments). With another `end`, it breaks off there."""
    payloads = [chunk({"role": "assistant", "content": ""})]
    payloads += [chunk({"content": text}) for text in texts]
    for index, (call_id, name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        payloads += call_chunks(index, call_id, name, arguments[:half], arguments[half:])
    if end == "close":
        payloads += [chunk({}, "tool_calls" if calls else "stop"), usage_chunk(*usage)]
    return stream(payloads, delay=delay, end=end)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Gives an error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": None}}
    typed = {"Content-Type": "application/json"} | dict(headers or {})
    return Reply(steps=[json.dumps(body).encode()], status=status, headers=typed)


class FakeProvider:
    """The server. `requests` holds what came, in order."""

    def __init__(self, respond: Callable[[Request], Reply] | None = None) -> None:
        self.requests: list[Request] = []
        self.connections: set[object] = set()
        self._respond = respond
        self._replies: deque[Reply] = deque()
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def add(self, *replies: Reply) -> None:
        """The next requests get these replies, one each."""
        self._replies.extend(replies)

    async def arrival(self, count: int = 1) -> Request:
        """Gives the request of that number, once it has come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        request = Request(headers=http.headers.copy(), raw=await http.read())
        self.connections.add(http.transport)
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        try:
            return await self._play(http, self._next(request))
        except (asyncio.CancelledError, ConnectionError):
            request.gone.set()
            raise

    def _next(self, request: Request) -> Reply:
        if self._replies:
            return self._replies.popleft()
        return self._respond(request) if self._respond else refusal(400, "the test has no reply for this request")

    async def _play(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if reply.gate is not None:
            await reply.gate.wait()
        await response.prepare(http)
        for step in reply.steps:
            await _step(response, step)
        if reply.end == STALL:
            await asyncio.Event().wait()
        if reply.end == RESET:
            _reset(http)
        return response


async def _step(response: web.StreamResponse, step: Step) -> None:
    match step:
        case bytes():
            await response.write(step)
        case Pause():
            await asyncio.sleep(step.seconds)
        case asyncio.Event():
            await step.wait()


def _reset(http: web.Request) -> None:
    """The client's next read fails: with no linger the kernel sends RST instead of FIN."""
    assert http.transport is not None
    connection = http.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.transport.abort()
