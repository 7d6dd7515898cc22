"""One process per file, for exactly as long as it lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import ConfigError
from app.stores.sqlite.lock import locked
from app.stores.sqlite.stores import open_sqlite
from app.testing.clock import ManualClock

HOLDER = """
import sys
from pathlib import Path
from app.stores.sqlite.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_second_opening_names_the_process_that_has_it(path: Path) -> None:
    async with open_sqlite(path, ManualClock()):
        with pytest.raises(ConfigError, match=rf"BATON_STORE_URL.*process {os.getpid()}\b"):
            async with open_sqlite(path, ManualClock()):
                pass
    async with open_sqlite(path, ManualClock()):
        pass


def test_the_kernel_releases_the_lock_of_a_killed_process(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid}"), locked(path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
    with locked(path):
        assert path.with_name("baton.db.lock").read_text() == str(os.getpid())


def test_a_file_that_cannot_be_made_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BATON_STORE_URL"), locked(tmp_path / "absent" / "baton.db"):
        pass
