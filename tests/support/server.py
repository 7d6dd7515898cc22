"""The real server as a process of its own, to be killed and started again.

    async with running(tmp_path, BATON_MODEL="scripted:x", BATON_SCRIPT=str(script)) as server:
        ... server.url ...
        server.kill()
        await server.start()        # the same port, the same data

It gets a clean environment: the variables given here and no others, and no `.env`.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
"""Seconds in which a server must be ready, or have stopped."""
POLL_SECONDS = 0.02

_ADDRESS = re.compile(r"Baton serves http://127\.0\.0\.1:(\d+)")


class ServerFailed(AssertionError):
    """The server did not do what it was told; the message ends with what it wrote."""


class Server:
    """A server on the loopback, with its data under `home`. `port` is known once it has started, and kept then."""

    def __init__(self, home: Path, environment: dict[str, str], module: Sequence[str] = ("app",)) -> None:
        self.home = home
        self.port = 0
        self._environment = environment
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        """Gives its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Gives the directory that outlives a kill."""
        return self.home / "data"

    @property
    def stderr(self) -> str:
        """Gives what all its processes wrote to stderr."""
        return "".join(self._log("stderr", start).read_text("utf-8") for start in range(1, self._starts + 1))

    @property
    def pid(self) -> int:
        """Gives the process's id."""
        return self._running().pid

    async def start(self) -> None:
        """The server is ready. Raises ServerFailed if it is not in time."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._starts += 1
        command = [sys.executable, "-m", *self._module, "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log("stdout").open("wb") as stdout, self._log("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command, cwd=self.home, env=self._variables(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )
        try:
            async with asyncio.timeout(DEADLINE):
                await self._wait_until_ready()
        except TimeoutError:
            self.kill()
            raise ServerFailed(f"it was not ready within {DEADLINE:g} s\n{self.stderr}") from None

    def kill(self) -> None:
        """The server is dead at once, as after a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """The server has drained and ended; gives its exit code."""
        return self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """The process has that signal (SIGSTOP and SIGCONT make it sleep and wake)."""
        self._running().send_signal(number)

    def is_running(self) -> bool:
        """Says whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def _end(self, number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(number)
        try:
            return process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"it did not end within {DEADLINE:g} s of {number.name}\n{self.stderr}") from None

    async def _wait_until_ready(self) -> None:
        async with ClientSession(timeout=ClientTimeout(DEADLINE)) as session:
            while not await self._is_ready(session):
                if not self.is_running():
                    raise ServerFailed(f"it ended with {self._running().returncode}\n{self.stderr}")
                await asyncio.sleep(POLL_SECONDS)

    async def _is_ready(self, session: ClientSession) -> bool:
        greeting = _ADDRESS.search(self._log("stdout").read_text("utf-8"))
        if greeting is None:
            return False
        self.port = int(greeting[1])
        try:
            async with session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except ClientError:
            return False

    def _variables(self) -> dict[str, str]:
        defaults = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "BATON_AGENTS_DIR": str(ROOT / "agents"),
            "BATON_DATA_DIR": str(self.data_dir),
        }
        return defaults | self._environment

    def _log(self, name: str, start: int | None = None) -> Path:
        return self.home / f"{name}.{start or self._starts}"

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was never started"
        return self._process


@asynccontextmanager
async def running(home: Path, **environment: str) -> AsyncGenerator[Server, None]:
    """Gives a server that is ready, with those variables. It is dead afterwards, whatever happened to it."""
    server = Server(home, environment)
    try:
        await server.start()
        yield server
    finally:
        if server.is_running():
            server.kill()
