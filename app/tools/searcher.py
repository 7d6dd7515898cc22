"""Regular expressions at arm's length: a search runs in a process of its own, which is killed when time is up.

A pattern such as `(a+)+$` may run for ever, and Python's `re` holds the interpreter's lock while it does: in a thread
it would stop the whole server. The process gets the files through a pipe; it opens none itself.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec
from msgspec import Struct

from app.core.errors import ToolError

_WORKER = Path(__file__).with_name("search_worker.py")


class Order(Struct, frozen=True, kw_only=True):
    """What to search for; the first line the process reads."""

    pattern: str
    ignore_case: bool
    limit: int


class Header(Struct, frozen=True, kw_only=True):
    """The line before each file's bytes."""

    path: str
    size: int


class Match(Struct, frozen=True, kw_only=True):
    """One line, or the part of a long one around the match."""

    path: str
    line: int
    text: str


class Findings(Struct, frozen=True, kw_only=True):
    """What the process answers."""

    matches: tuple[Match, ...] = ()
    full: bool = False
    """Whether it stopped at the limit."""
    searched: int = 0
    binary: int = 0
    """Files that are not UTF-8 text."""
    error: str | None = None
    """What is wrong with the pattern."""


class Searcher:
    """Runs searches, each for at most `deadline` seconds, at most `parallel` at a time."""

    def __init__(self, deadline: float = 15.0, parallel: int = 4) -> None:
        self._deadline = deadline
        self._slots = asyncio.Semaphore(parallel)

    async def search(self, order: Order, files: AsyncIterable[tuple[str, bytes]]) -> Findings:
        """Gives the matches. Raises ToolError for a pattern that is not legal, or takes too long."""
        async with self._slots:
            answer = await self._ask(order, files)
        if answer.error is not None:
            raise ToolError(f"the pattern is not a legal regular expression: {answer.error}")
        return answer

    async def _ask(self, order: Order, files: AsyncIterable[tuple[str, bytes]]) -> Findings:
        process = await _start()
        try:
            async with asyncio.timeout(self._deadline):
                answer = await _converse(process, order, files)
                await process.wait()
        except TimeoutError as error:
            raise ToolError(
                f"the search took longer than {self._deadline:g} s and was stopped; "
                "simplify the pattern (no nested repeats), or give a narrower path or glob"
            ) from error
        finally:
            await _end(process)
        return _decode(answer)


async def _start() -> Process:
    """Starts the process, isolated: no environment, so no secrets, and no packages but the standard library."""
    command = (sys.executable, "-I", "-S", str(_WORKER))
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}, cwd="/")
    except OSError as error:
        raise ToolError(f"the search could not be started ({error.strerror}); try again later") from error


async def _converse(process: Process, order: Order, files: AsyncIterable[tuple[str, bytes]]) -> bytes:
    """Sends everything, then reads the answer: the process answers only once it reads no more."""
    stdin, stdout = cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout)
    with suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(msgspec.json.encode(order) + b"\n")
        async for path, data in files:
            stdin.write(msgspec.json.encode(Header(path=path, size=len(data))) + b"\n")
            stdin.write(data)
            await stdin.drain()
    stdin.close()
    return await stdout.read()


def _decode(answer: bytes) -> Findings:
    try:
        return msgspec.json.decode(answer, type=Findings)
    except msgspec.DecodeError as error:
        raise ToolError(
            "the search ran out of memory or time; simplify the pattern, or give a narrower path"
        ) from error


async def _end(process: Process) -> None:
    """The process is gone, and both pipes are closed."""
    stdin = cast("StreamWriter", process.stdin)
    stdin.close()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    with suppress(BrokenPipeError, ConnectionResetError):
        await stdin.wait_closed()
    await process.communicate()
