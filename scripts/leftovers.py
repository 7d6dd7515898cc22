"""Ends with an error if processes still run that were started with a certain variable in their environment.

`.ci/run` sets BATON_TEST_CI_RUN to something unique before it starts anything; whatever it started inherits it, also
after setsid. Those that are still there after a while are named, and killed.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "BATON_TEST_CI_RUN"
LOOKS = 25
LOOK_SECONDS = 0.2


def main() -> int:
    """Gives 0 if nothing is left, else 1."""
    for _ in range(LOOKS):
        if not leftovers():
            return 0
        time.sleep(LOOK_SECONDS)
    left = leftovers()
    for process in left:
        sys.stderr.write(f"still running: {process.name} {command(process)}\n")
        with suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGKILL)
    return 1 if left else 0


def leftovers() -> list[Path]:
    """Gives the marked processes, this one and those that it descends from aside."""
    mark = f"{VARIABLE}={os.environ[VARIABLE]}".encode()
    ours = ancestors(os.getpid())
    return [process for process in Path("/proc").glob("[0-9]*") if process.name not in ours and mark in marks(process)]


def marks(process: Path) -> list[bytes]:
    """Gives the process's environment; none for one that has ended, or is not ours to read."""
    with suppress(OSError):
        return (process / "environ").read_bytes().split(b"\0")
    return []


def ancestors(pid: int) -> set[str]:
    """Gives the ids of the process and of all that it descends from."""
    found: set[str] = set()
    while pid > 0 and str(pid) not in found:
        found.add(str(pid))
        pid = int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    return found


def command(process: Path) -> str:
    """Gives the process's command line, as far as it can be read."""
    with suppress(OSError):
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


if __name__ == "__main__":
    sys.exit(main())
