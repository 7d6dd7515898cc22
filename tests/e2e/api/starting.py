"""Starting the server as a person would, and reading what it says."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from msgspec import Struct

from tests.support.server import ROOT

DEADLINE = 20.0


class Ending(Struct, frozen=True):
    """How a command ended, and what it wrote."""

    code: int
    stdout: str
    stderr: str


async def command(home: Path, *arguments: str, **environment: str) -> Ending:
    """Gives how `baton …` ended, run in that directory with those variables and no others."""
    clean = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "BATON_AGENTS_DIR": str(ROOT / "agents")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *arguments, cwd=home, env=clean | environment, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ending(process.returncode, stdout.decode(), stderr.decode())


async def refusal(home: Path, *arguments: str, **environment: str) -> str:
    """Gives the one line with which a start that cannot be meant ends."""
    ending = await command(home, "serve", *(arguments or ("--port", "0")), **environment)
    assert ending.code == 2, ending
    assert ending.stdout == "", ending
    (line,) = ending.stderr.splitlines()
    assert line.startswith("baton: ")
    return line.removeprefix("baton: ")
