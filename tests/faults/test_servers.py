"""Two real servers on one real store: one is killed, or told to leave, and the other finishes what it had begun."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession

from tests.crash.test_kill import Client
from tests.faults.places import Place
from tests.support.server import Server, running
from tests.support.sse import Event
from tests.support.viewer import Viewer

SCRIPT = Path(__file__).parent / "steps.yaml"
SECONDS = 60
KILLS = 2
LEAVES = 3
TAKEOVER_SECONDS = 6.0
"""From SIGKILL to the next event elsewhere; promised."""
SLACK = 2.0
"""For a busy machine."""
HANDOVER_SECONDS = 0.5
"""From SIGTERM to the next event elsewhere, of a run between two steps; promised."""
HANDOVER_SLACK = 0.5
"""For a busy machine; the one that is idle keeps the promise."""


class Stopwatch(Viewer):
    """Notes when it was told that somebody else goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: list[float] = []

    def apply(self, event: Event) -> None:
        super().apply(event)
        if event.name == "run.resumed":
            self.resumed.append(asyncio.get_running_loop().time())


class Walker(Client):
    """Goes from one server to another."""

    def __init__(self, server: Server, session: ClientSession, text: str) -> None:
        super().__init__(server, session, text)
        self.seen: Stopwatch = Stopwatch()

    async def go_on_at(self, server: Server) -> None:
        """Follows the run there, from its last id to the run's end."""
        self._server = server
        await self.follow()


@asynccontextmanager
async def pair(place: Place, home: Path, **more: str) -> AsyncGenerator[list[Server], None]:
    """Gives two servers of one deployment."""
    environment = {
        "BATON_STORE_URL": place.url(),
        "BATON_DATA_DIR": str(home / "data"),
        "BATON_MODEL": "scripted:steps",
        "BATON_SCRIPT": str(SCRIPT),
        **more,
    }
    async with running(home / "a", **environment) as first, running(home / "b", **environment) as second:
        yield [first, second]


def check_whole(seen: Viewer, reason: str) -> None:
    """Every record of the run was shown once, in order, and it was handed on once."""
    assert seen.status == "completed"
    seqs = [record["seq"] for record in seen.records]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert [record["reason"] for record in seen.of_type("run.resumed")] == [reason]
    assert "reset" not in seen.names


async def test_a_killed_server_is_missed_by_nobody(make: Callable[[], Place], tmp_path: Path) -> None:
    taken: list[float] = []
    async with pair(make(), tmp_path) as servers, ClientSession() as http, asyncio.timeout(SECONDS):
        for number in range(KILLS):
            victim, other = servers[number % 2], servers[1 - number % 2]
            walker = Walker(victim, http, f"tell me a story {number}")
            await walker.post(5)
            victim.kill()
            killed = asyncio.get_running_loop().time()
            await walker.go_on_at(other)
            check_whole(walker.seen, "takeover")
            taken += [walker.seen.resumed[0] - killed]
            await victim.start()
    print("SIGKILL to the next event:", *(f"{seconds:.2f} s" for seconds in taken))
    assert max(taken) < TAKEOVER_SECONDS + SLACK


async def test_a_server_that_is_told_to_leave_hands_on_between_steps(make: Callable[[], Place], tmp_path: Path) -> None:
    handed: list[float] = []
    async with pair(make(), tmp_path) as servers, ClientSession() as http, asyncio.timeout(SECONDS):
        for number in range(LEAVES):
            leaver, other = servers[number % 2], servers[1 - number % 2]
            walker = Walker(leaver, http, f"many steps {number}")
            await walker.post(10)
            leaver.send(signal.SIGTERM)
            told = asyncio.get_running_loop().time()
            await walker.go_on_at(other)
            check_whole(walker.seen, "handover")
            handed += [walker.seen.resumed[0] - told]
            assert await asyncio.to_thread(leaver.stop) == 0
            await leaver.start()
    print("SIGTERM to the next event:", *(f"{seconds:.2f} s" for seconds in handed))
    assert min(handed) < HANDOVER_SECONDS + HANDOVER_SLACK


async def test_a_server_that_may_not_wait_hands_on_in_mid_answer(make: Callable[[], Place], tmp_path: Path) -> None:
    more = {"BATON_DRAIN_GRACE": "0.1"}
    async with pair(make(), tmp_path, **more) as (leaver, other), ClientSession() as http, asyncio.timeout(SECONDS):
        walker = Walker(leaver, http, "tell me a story")
        await walker.post(5)
        leaver.send(signal.SIGTERM)
        await walker.go_on_at(other)
        check_whole(walker.seen, "handover")
