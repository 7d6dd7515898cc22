"""Every call to the store goes wrong once, in every way: the log stays legal, and the next message is answered.

The k-th port call fails, loses its reply, hangs, or is the last thing its process does; k rises until the scenario
needs fewer calls. A process that hangs or dies is replaced by another over the same store.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.core.clock import SystemClock
from app.stores.bundle import Stores
from app.testing.faults import Faulty, Mishap
from tests.contracts.backends import Backend, MemoryBackend, SqliteBackend
from tests.crash.scenarios import SCENARIOS, SECONDS, Scenario, check_effects, check_log, guarded, play, tools
from tests.support.puppet import Puppet
from tests.support.replica import WHO, key_of, replica
from tests.support.tools import CountingTool
from tests.support.viewer import view

POINTS = {"plain": 3, "three_tools": 4, "queue": 5, "steer": 5, "cancel": 5, "drain": 2}
"""The port calls of each scenario, at the least: fewer would mean that less is tried."""
MOST = 60
"""More port calls than any scenario makes: the enumeration must end by itself before it."""


@asynccontextmanager
async def opened(backend: Backend) -> AsyncGenerator[Stores, None]:
    """Gives the backend's stores."""
    async with backend.open(SystemClock()) as stores:
        yield stores


async def strike(scenario: Scenario, backend: Backend, at: int, mishap: Mishap, directory: Path) -> bool:
    """Plays the scenario with one mishap, then lets another replica clear up, and checks all laws.

    Says whether the mishap was reached.
    """
    world, faulty = tools(), Faulty(at, mishap)
    model = Puppet(*scenario.answers)
    async with opened(backend) as stores, replica(guarded(stores, faulty), model, directory, tools=world) as server:
        await play(scenario, server, faulty)
    async with opened(backend) as stores:
        await clear_up(stores, model, world, directory)
    return faulty.struck.is_set()


async def clear_up(stores: Stores, model: Puppet, world: tuple[CountingTool, ...], directory: Path) -> None:
    """Another replica finishes what is left, and answers the next message; then the whole log is checked."""
    async with replica(stores, model, directory, tools=world) as server:
        async with asyncio.timeout(SECONDS):
            accepted = await server.say("next", key="next")
            await server.engine.finished(WHO, accepted.run_id)
            assert view(await server.read(accepted)).status == "completed"
    log = await stores.sessions.read(key_of("s1"), 0, 10_000)
    state = (await stores.sessions.read(key_of("s1"))).state()
    check_log(log.entries, state)
    check_effects(log.entries, world)


async def enumerate_points(scenario: Scenario, mishap: Mishap, make: Callable[[], Backend], directory: Path) -> int:
    """Gives how many port calls the scenario makes at most; every one of them met with the mishap."""
    for at in range(1, MOST):
        place = directory / f"{at}"
        place.mkdir()
        if not await strike(scenario, make(), at, mishap, place):
            return at - 1
    raise AssertionError(f"{scenario.name} makes more than {MOST} port calls")


@pytest.mark.parametrize("mishap", list(Mishap))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
@pytest.mark.timeout(300)
async def test_every_crash_point(
    scenario: Scenario, mishap: Mishap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.1)
    points = await enumerate_points(scenario, mishap, MemoryBackend, tmp_path)
    assert points >= POINTS[scenario.name], "the scenario meets its store less often than it did: why?"


@pytest.mark.parametrize("mishap", [Mishap.REPLY_LOST, Mishap.DIES])
@pytest.mark.parametrize("name", ["three_tools", "steer"])
@pytest.mark.timeout(300)
async def test_every_crash_point_on_sqlite(
    name: str, mishap: Mishap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.1)
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    points = await enumerate_points(scenario, mishap, SqliteBackend, tmp_path)
    assert points >= POINTS[name]
