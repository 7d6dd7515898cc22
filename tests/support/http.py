"""The application behind a real server, and a client that takes nothing on trust.

    async with serving(app) as base, Client.of(base) as api:
        answer = await api.post("/v1/chat", json={"input": "hi", "stream": False})
        async with api.stream("POST", "/v1/chat", json={"input": "hi"}) as (answer, events):
            async for event in events: ...

Every response, problem and event is held against the committed `openapi.json`.
"""

import asyncio
import json as codec
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector
from multidict import CIMultiDictProxy
from starlette.types import ASGIApp
from yarl import URL

from app.api.heads import BoundedHead
from tests.support.contract import Contract
from tests.support.sse import Event, events

DEADLINE = 20.0
"""Seconds after which a test's request fails."""
CLOSE_SECONDS = 3.0


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[str, None]:
    """Gives the base URL of a uvicorn server on a free port of the loopback. Fails if a request outlives its client."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, http=BoundedHead)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    port = listener.getsockname()[1]
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        left = await _close(server)
        await server.lifespan.shutdown()
    assert not left, "a request outlived its client"


async def _close(server: uvicorn.Server) -> set[asyncio.Task[None]]:
    """Gives the requests that went on; uvicorn's own way takes 100 ms more."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    tasks = set(server.server_state.tasks)
    left = (await asyncio.wait(tasks, timeout=CLOSE_SECONDS))[1] if tasks else set[asyncio.Task[None]]()
    for task in left:
        task.cancel()
    return left


class Answer:
    """A response: its status, headers and body."""

    def __init__(self, status: int, headers: CIMultiDictProxy[str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        """Gives the body, decoded."""
        return codec.loads(self.body)

    @property
    def code(self) -> str:
        """Gives a problem's code."""
        return self.json["code"]


class Client:
    """Sends requests, and checks what comes back."""

    def __init__(self, session: ClientSession, base: str, contract: Contract) -> None:
        self.session, self.base, self.contract = session, base, contract

    @classmethod
    @asynccontextmanager
    async def of(
        cls, base: str, headers: Mapping[str, str] | None = None, contract: Contract | None = None
    ) -> AsyncGenerator["Client", None]:
        """Gives a client with those headers on every request."""
        connector = TCPConnector(limit=0, force_close=True)
        async with ClientSession(connector=connector, headers=headers, timeout=ClientTimeout(DEADLINE)) as session:
            yield cls(session, base, contract or Contract.load())

    async def call(self, method: str, path: str, **request: Any) -> Answer:
        """Gives the whole response. `path` is sent as it is; the rest is aiohttp's (`json`, `data`, `headers`)."""
        async with self.session.request(method, self._url(path), **request) as response:
            return await self._answer(method, path, response)

    async def get(self, path: str, **request: Any) -> Answer:
        """Gives the response to a GET."""
        return await self.call("GET", path, **request)

    async def post(self, path: str, **request: Any) -> Answer:
        """Gives the response to a POST."""
        return await self.call("POST", path, **request)

    async def delete(self, path: str, **request: Any) -> Answer:
        """Gives the response to a DELETE."""
        return await self.call("DELETE", path, **request)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, **request: Any
    ) -> AsyncGenerator[tuple[Answer, AsyncIterator[Event]], None]:
        """Gives the head of an SSE response, and its events as they come. Leaving the block leaves the stream."""
        async with self.session.request(method, self._url(path), **request) as response:
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                answer = await self._answer(method, path, response)
                raise AssertionError(f"no stream but {answer.status}: {answer.body[:500]!r}")
            self.contract.check(method, path.partition("?")[0], response.status, kind, b"")
            head = Answer(response.status, response.headers, b"")
            yield head, events(response.content.iter_any(), self.contract)

    async def _answer(self, method: str, path: str, response: ClientResponse) -> Answer:
        body = await response.read()
        kind = response.headers.get("content-type", "")
        self.contract.check(method, path.partition("?")[0], response.status, kind, body)
        return Answer(response.status, response.headers, body)

    def _url(self, path: str) -> URL:
        return URL(self.base + path, encoded=True)
