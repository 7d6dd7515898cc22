"""Programs of other projects, run for the tests: found or skipped, on free ports, and gone with the process.

A program is killed with the thread that started it, so start it from one that stays.
"""

import atexit
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

DEADLINE = 20.0
"""Seconds in which a program is ready, or has stopped."""
POLL_SECONDS = 0.01


def binary(name: str) -> str:
    """Gives the program's path. Without it the test is skipped, or, where everything is required, it fails."""
    path = shutil.which(name)
    if path is None:
        missing = f"{name} is not installed"
        pytest.fail(missing) if os.environ.get("BATON_TEST_REQUIRE") == "all" else pytest.skip(missing)
    return path


def free_port() -> int:
    """Gives a port of the loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Returns once it holds. Fails the test when it does not within the deadline."""
    end = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"after {DEADLINE:g} s: {what}")
        time.sleep(POLL_SECONDS)


class Program:
    """A program under way. It ends with this process, whatever becomes of it."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        guarded = [binary("setpriv"), "--pdeathsig", "KILL", *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """Gives its id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Says whether it has not ended."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """The signal was sent."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """It has ended, without a word."""
        atexit.unregister(self.kill)
        if self.running:
            self._process.kill()
        self._process.wait(DEADLINE)
