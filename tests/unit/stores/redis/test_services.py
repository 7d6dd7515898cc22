"""The servers that the tests start end with the tests, however these end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.services.binaries import binary, eventually

ROOT = Path(__file__).parents[4]
STARTED = """
import sys
from tests.support.services.redis import shared_server
server = shared_server()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "XZ"


@pytest.mark.parametrize("killed", [True, False])
def test_a_server_stops_with_its_parent(killed: bool) -> None:
    binary("redis-server")
    command = [sys.executable, "-c", STARTED]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert _alive(int(pid))
        if killed:
            os.kill(parent.pid, signal.SIGKILL)
        parent.stdin.close()
        parent.wait(20)
    eventually(lambda: not _alive(int(pid)), "the server outlives its parent")
    assert killed or not Path(folder.decode()).exists()
    shutil.rmtree(folder.decode(), ignore_errors=True)


def test_without_the_program_the_test_is_skipped_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATON_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception):
        binary("no-such-program")
    monkeypatch.setenv("BATON_TEST_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception):
        binary("no-such-program")
