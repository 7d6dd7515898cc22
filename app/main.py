"""The server process: from settings to a listening socket, and from a signal to a clean end."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from app.api.application import create_api
from app.api.heads import BoundedHead
from app.api.openapi import openapi_document
from app.api.routes.metrics import metrics_router
from app.bootstrap import Server, open_server
from app.core.errors import ConfigError
from app.core.tasks import Tasks
from app.observability.logging import configure
from app.settings import Settings, load
from app.ui.page import router as page

CLOSE_SECONDS = 2
"""How long connections may take to close once their streams have ended."""
LAST_SECONDS = 8.0
"""How long the end may take after the drain's grace: cutting off runs, closing connections and stores."""


def create_app(server: Server, settings: Settings) -> FastAPI:
    """Gives the application: the API, and the page at `/`."""
    app = create_api(
        server.engine, server.authenticator, max_body=settings.max_body_bytes, origins=settings.cors_origins
    )
    app.include_router(page)
    app.include_router(metrics_router(server.exposition))
    return app


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains: inputs are refused, runs are let go, streams end, all is closed."""
    configure(settings.log_level)
    sockets = _bind(settings.host, settings.port)
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
                http=BoundedHead,
                ws="none",
            ),
            settings,
        )
        async with Tasks() as tasks:
            stop = asyncio.Event()
            tasks.start(_drain(stop, server, http, settings.drain_grace))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, _stop, stop, http)
            _settle_memory()
            try:
                await http.serve(sockets)
            finally:  # also when a part of the server has failed: what is left of it may not linger half dead
                _end_within(LAST_SECONDS)


def _settle_memory() -> None:
    """What lives as long as the process is not looked at again by the collector, which runs less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


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


def _bind(host: str, port: int) -> list[socket.socket]:
    """Gives sockets bound to all the host's addresses; nothing is listened to yet. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bound(family, address) for family, _, _, _, address in found]
    except OSError as error:
        raise ConfigError(
            f"BATON_PORT: {host}:{port} cannot be listened to: {error.strerror}; is Baton running already? "
            "If another program is, set another BATON_PORT"
        ) from error


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _stop(stop: asyncio.Event, http: uvicorn.Server) -> None:
    """The first signal drains; the second one does not wait."""
    if stop.is_set():
        http.force_exit = http.should_exit = True
    stop.set()


async def _drain(stop: asyncio.Event, server: Server, http: uvicorn.Server, grace: float) -> None:
    await stop.wait()
    _end_within(grace + LAST_SECONDS)
    await server.engine.drain(grace)
    http.should_exit = True


def _end_within(seconds: float) -> None:
    """The process ends by then, whatever hangs: a tool that will not be stopped, a disk that does not answer.

    It ends as by a crash, which loses nothing. A thread waits for it, for the event loop may be what hangs.
    """
    last = threading.Timer(seconds, os._exit, (1,))
    last.daemon = True
    last.start()


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
