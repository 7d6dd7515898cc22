"""The model of the torture test: OpenAI's wire format over a real socket, text that trickles, three calls at a time.

What it says depends on the conversation alone, so that a step that is repeated says the same again.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from tests.support.provider import DONE, call_chunks, chunk, sse, usage_chunk

TOOL = "narrate"
CALLS = 3
WORDS = ("wörd", "🎉", "plain", "zwölf", "👩‍🚀", "end.")


class SlowModel:
    """Answers every other turn with text and three calls, the others with text; one piece every `pace` seconds."""

    def __init__(self, pieces: int, pace: float) -> None:
        self.requests = 0
        self.base_url = ""
        self._pieces, self._pace = pieces, pace
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "SlowModel":
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body: dict[str, Any] = msgspec.json.decode(await request.read())
        said = sum(message["role"] == "assistant" for message in body["messages"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):  # the client has left: its run was cancelled, or its server killed
            await self._write(response, said)
        return response

    async def _write(self, response: web.StreamResponse, said: int) -> None:
        await response.write(sse(chunk({"role": "assistant", "content": ""})))
        for i in range(self._pieces):
            await asyncio.sleep(self._pace)
            await response.write(sse(chunk({"content": f"{said}.{i} {WORDS[i % len(WORDS)]} "})))
        calls = CALLS if said % 2 == 0 else 0
        for index in range(calls):
            arguments = msgspec.json.encode({"name": f"{said}-{index}", "pieces": self._pieces}).decode()
            half = len(arguments) // 2
            for payload in call_chunks(index, f"c{said}x{index}", TOOL, arguments[:half], arguments[half:]):
                await response.write(sse(payload))
        await response.write(sse(chunk({}, "tool_calls" if calls else "stop")))
        await response.write(sse(usage_chunk(10, 5)) + DONE)
