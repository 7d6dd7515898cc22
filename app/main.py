"""The server process: from settings to a listening socket, and from a signal to a clean end."""

import asyncio
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from app.api.application import create_api
from app.api.openapi import openapi_document
from app.bootstrap import Server, open_server
from app.engine.tasks import Tasks
from app.observability.logging import configure
from app.settings import Settings, load
from app.ui.page import router as page

CLOSE_SECONDS = 2
"""How long connections may take to close once their streams have ended."""


def create_app(server: Server, settings: Settings) -> FastAPI:
    """Gives the application: the API, and the page at `/`."""
    app = create_api(
        server.engine, server.authenticator, max_body=settings.max_body_bytes, origins=settings.cors_origins
    )
    app.include_router(page)
    return app


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains: inputs are refused, runs are let go, streams end, all is closed."""
    configure(settings.log_level)
    async with open_server(settings) as server:
        http = _Http(
            uvicorn.Config(
                create_app(server, settings),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=CLOSE_SECONDS,
                server_header=False,
            ),
            settings,
        )
        async with Tasks() as tasks:
            stop = asyncio.Event()
            tasks.start(_drain(stop, server, http, settings.drain_grace))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, _stop, stop, http)
            await http.serve()


class _Http(uvicorn.Server):
    """Uvicorn, with our signal handling in place of its own: runs are let go before connections are closed."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(_greeting(self.port, self._settings), flush=True)

    @property
    def port(self) -> int:
        """Gives the port that is listened on."""
        return self.servers[0].sockets[0].getsockname()[1]


def _stop(stop: asyncio.Event, http: uvicorn.Server) -> None:
    """The first signal drains; the second one does not wait."""
    if stop.is_set():
        http.force_exit = http.should_exit = True
    stop.set()


async def _drain(stop: asyncio.Event, server: Server, http: uvicorn.Server, grace: float) -> None:
    await stop.wait()
    await server.engine.drain(grace)
    http.should_exit = True


def _greeting(port: int, settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    model = settings.default_model
    lines = ["", f"  Baton serves http://{host}:{port}", f"  Model        {model}"]
    if model.startswith("offline"):
        lines.append("  No key is set, so the offline model answers. Put OPENAI_API_KEY=… or ANTHROPIC_API_KEY=…")
        lines.append("  into the environment or into .env, and start again.")
    if settings.keys_file is None:
        lines.append("  No API keys are configured: only this machine is served.")
    return "\n".join([*lines, ""])


async def describe() -> dict[str, Any]:
    """Gives the API's OpenAPI document, of a server that keeps nothing."""
    with TemporaryDirectory() as directory:
        settings = load(BATON_STORE_URL="memory://", BATON_DATA_DIR=directory, BATON_MODEL="offline:offline")
        async with open_server(settings) as server:
            return openapi_document(create_app(server, settings))


def run(settings: Settings) -> int:
    """Serves; gives the process's exit code."""
    uvloop.run(serve(settings))
    return 0
