"""The end of the process is bounded, also when something in it will not end."""

import asyncio
import subprocess
import sys
import time

import pytest

WEDGED = """
import asyncio, time
from types import SimpleNamespace
from app import main

async def never(_):
    {wedge}

main.LAST_SECONDS = 0.2
stop = asyncio.Event()
stop.set()
server = SimpleNamespace(engine=SimpleNamespace(drain=never))
asyncio.run(main._drain(stop, server, SimpleNamespace(should_exit=False), 0.1))
"""


@pytest.mark.parametrize("wedge", ["await asyncio.Event().wait()", "time.sleep(60)"])
async def test_trap_a_shutdown_that_something_holds_up(wedge: str) -> None:
    """A drain that never returns, or a blocked event loop, ends with the process all the same, by its bound."""
    began = time.monotonic()
    command = [sys.executable, "-c", WEDGED.format(wedge=wedge)]
    done = await asyncio.to_thread(subprocess.run, command, timeout=30, check=False)
    assert done.returncode == 1
    assert time.monotonic() - began < 15
