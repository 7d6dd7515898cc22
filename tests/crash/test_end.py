"""The end of the process is bounded, also when something in it will not end."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

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


FAILING = """
import asyncio
from contextlib import asynccontextmanager
from app import main
from app.engine.engine import Engine
from app.settings import load

async def fail(self):
    raise RuntimeError("a part has failed")

opened = main.open_server

@asynccontextmanager
async def clinging(settings):
    async with opened(settings) as server:
        try:
            yield server
        finally:
            {cling}

Engine._tick_forever = fail
main.open_server = clinging
main.LAST_SECONDS = 0.5
names = dict(BATON_STORE_URL="memory://", BATON_DATA_DIR={directory!r}, BATON_MODEL="offline:offline", BATON_PORT="0")
main.run(load(**names))
"""


@pytest.mark.parametrize("cling", ["pass", "await asyncio.Event().wait()"], ids=["clean", "clinging"])
async def test_a_replica_of_which_a_part_has_failed_does_not_linger(cling: str, tmp_path: Path) -> None:
    """The process ends, loudly, and no heart beats on while something holds up its end."""
    program = FAILING.format(cling=cling, directory=str(tmp_path))
    run = [sys.executable, "-c", program]
    done = await asyncio.to_thread(subprocess.run, run, timeout=30, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    if cling == "pass":
        assert "a part has failed" in done.stderr
