"""Processes under measurement: started on a core, asked for what they have used, and ended."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SERVER_CORE = 0
LOAD_CORE = 1
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Process:
    """A process that has said on its standard output where it listens."""

    def __init__(self, popen: subprocess.Popen[str], port: int) -> None:
        self.pid = popen.pid
        self.port = port

    def cpu(self) -> float:
        """Gives the seconds of user and system time that it and its children have used, to the nanosecond."""
        family = [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in family)

    def rss(self) -> int:
        """Gives the bytes of memory that it and its children have in use."""
        root = psutil.Process(self.pid)
        return sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))


def _cpu_clock(pid: int) -> int:
    """Gives the process's CPU clock, all its threads together (Linux: MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def has_two_cores() -> bool:
    """Says whether the servers can have a core of their own."""
    return {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0)


@contextmanager
def on_core(core: int) -> Generator[None, None, None]:
    """What is started in the body stays on that core, if there are two."""
    before = os.sched_getaffinity(0)
    if has_two_cores():
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def started(module: str, *arguments: str, core: int, where: Path, **variables: str) -> Generator[Process, None, None]:
    """Gives a Python module's process once it listens; it is gone afterwards."""
    command = [sys.executable, "-m", module, *arguments]
    complaints = where / f"{module}.log"
    with complaints.open("a") as log, on_core(core):
        popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=where, env=_environment(variables)
        )
    try:
        yield Process(popen, _port(popen, module, complaints))
    finally:
        popen.kill()
        popen.communicate()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Gives an environment in which nothing of the caller's settings is left."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}


def _port(popen: subprocess.Popen[str], module: str, complaints: Path) -> int:
    assert popen.stdout is not None
    for line in popen.stdout:
        found = _ADDRESS.search(line)
        if found:
            return int(found[1])
    raise RuntimeError(f"{module} ended before it listened: {complaints.read_text('utf-8')[-2000:]}")
