"""The floor: a stateless proxy from aiohttp to Starlette that sends a frame like Baton's for each chunk."""

import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import uvicorn
import uvloop
from aiohttp import ClientSession, TCPConnector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

Delta = msgspec.defstruct("Delta", [("content", str, "")])
Choice = msgspec.defstruct("Choice", [("delta", Delta)])
Chunk = msgspec.defstruct("Chunk", [("choices", list[Choice])])
decode: Callable[[bytes], Any] = msgspec.json.Decoder(Chunk).decode
encode = msgspec.json.Encoder().encode
NAMES = {"run_id": "run_0123456789abcdef_0123456789abcdefghij", "item": "run_0123456789abcdef:0:0", "kind": "text"}


async def frames(session: ClientSession, body: bytes) -> AsyncIterator[bytes]:
    rest, d, offset = b"", 0, 0
    async with session.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", data=body) as response:
        async for piece in response.content.iter_any():
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                choices = () if event == b"data: [DONE]" else decode(event[6:]).choices
                if choices and (text := choices[0].delta.content):
                    d += 1
                    data = encode({**NAMES, "offset": offset, "text": text})
                    yield b"id: 0123456789.2:1.%d\nevent: delta\ndata: %b\n\n" % (d, data)
                    offset += len(text)


def application(session: ClientSession) -> Starlette:
    async def chat(request: Request) -> StreamingResponse:
        messages = [{"role": "user", "content": msgspec.json.decode(await request.body())["input"]}]
        body = encode({"model": "m", "stream": True, "messages": messages})
        return StreamingResponse(frames(session, body), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat", chat, methods=["POST"])])


async def serve() -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(application(session), log_config=None, access_log=False, lifespan="off")
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(serve())
