"""A whole engine at work while one exchange with its store is cut, each in turn: nothing is lost, and nothing doubled.

Nobody dies of a lost connection: the run that meets with it goes on where it is.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app.core.errors import StoreUnavailable
from app.core.records import Effect, Entry, RunFinished, RunResumed, ToolFinished
from app.engine.views import Accepted
from app.stores.bundle import Stores
from tests.crash.scenarios import check_effects, check_log, tools
from tests.faults.places import Place
from tests.support.proxy import Cut, Proxy, proxying
from tests.support.puppet import Call, Puppet
from tests.support.replica import WHO, Replica, key_of, replica, until

SECONDS = 60
MOST = 80
"""More exchanges than the turns need: the enumeration must end by itself before it."""
LEAST = 6
"""Fewer would mean that less is tried."""


async def talk(server: Replica, session: str) -> None:
    """Two inputs for one session, the second while the first is at work, then another; all are answered."""
    accepted = [await server.say(text, session) for text in ("one", "two")]
    ended = [await finished(server, each) for each in accepted]
    assert [*ended, await finished(server, await server.say("three", session))] == ["completed"] * 3
    await until(lambda: server.engine._worker.free == server.services.slots)


async def finished(server: Replica, accepted: Accepted) -> str:
    """Gives how the run ended. Whoever reads and is told that the store does not answer asks again."""
    while True:
        with suppress(StoreUnavailable):
            return (await server.engine.finished(WHO, accepted.run_id)).status


async def strike(server: Replica, proxy: Proxy, at: int, cut: Cut) -> bool:
    """Talks while the `at`-th exchange is cut, over a connection in use; says whether there were so many."""
    await talk(server, f"warm{at}")
    proxy.strike(at, cut)
    await talk(server, f"s{at}")
    is_struck = proxy.struck.is_set()
    proxy.strike(0, cut)
    await proxy.settled()
    return is_struck


async def read(stores: Stores, session: str) -> tuple[Entry, ...]:
    """Gives the session's log, which is legal, and tells of no mishap."""
    log = await stores.sessions.read(key_of(session), 0, 10_000)
    check_log(log.entries, (await stores.sessions.read(key_of(session))).state())
    records = [entry.record for entry in log.entries]
    assert not [record for record in records if isinstance(record, RunResumed)], "a run was given up"
    assert [record.outcome for record in records if isinstance(record, ToolFinished)] == ["ok"] * 3
    assert [record.status for record in records if isinstance(record, RunFinished)] == ["completed"] * 3
    return log.entries


async def enumerate_exchanges(make: Callable[[], Place], cut: Cut, directory: Path) -> int:
    """Gives how many exchanges the turns need at most; each of them was cut, and every law holds."""
    world, place, at = tools(), make(), 1
    async with (
        place.open() as stores,
        proxying(place.port, place.speech) as proxy,
        place.rerouted(stores, proxy.port) as through,
        replica(through, answers(), directory, tools=world) as server,
    ):
        while at < MOST and await strike(server, proxy, at, cut):
            at += 1
        logs = [await read(stores, f"{name}{number + 1}") for number in range(at) for name in ("warm", "s")]
    check_effects(tuple(entry for log in logs for entry in log), world)
    assert [sum(tool.effects.values()) for tool in world] == [len(logs)] * len(world)
    assert at < MOST, f"the turns need more than {MOST} exchanges"
    return at - 1


def answers() -> Puppet:
    """Gives a model that calls one tool of each effect, then answers in words."""
    return Puppet([Call(effect.value, "{}") for effect in Effect], ["done"])


@pytest.mark.parametrize("cut", list(Cut))
async def test_turns_survive_every_lost_connection(make: Callable[[], Place], cut: Cut, tmp_path: Path) -> None:
    async with asyncio.timeout(SECONDS):
        assert await enumerate_exchanges(make, cut, tmp_path) >= LEAST
