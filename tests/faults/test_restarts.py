"""The store is killed and started again: nothing acknowledged is lost, runs go on by themselves, nobody is buried."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from app.core.records import Entry
from app.engine.lease import Lease, Timing
from tests.crash.scenarios import check_effects, check_log, tools
from tests.crash.test_replicas import Client, Slow
from tests.faults.fragile import Fragile
from tests.faults.ledger import Ledger
from tests.faults.members import SECONDS, fleet, member, seasoned
from tests.support.proxy import proxying
from tests.support.puppet import Call, Puppet
from tests.support.replica import key_of, until

SESSIONS = tuple(f"s{number}" for number in range(12))
KILLS = 3
FIVEFOLD = Timing(beat=0.2, lease=0.8, sweep=0.2, tick=0.6)
"""The true timing, five times as fast."""
AWAY = 2.0
"""How long the store is away: ten seconds, five times as fast."""


async def test_what_was_acknowledged_is_there_after_a_crash(fragile: Fragile, tmp_path: Path) -> None:
    chance, world, ledger = Random(20261121), tools(), Ledger()
    model = Slow([*("piece " * 80).split(" "), Call("unsafe", "{}"), Call("keyed", "{}"), Call("pure", "{}")], ["done"])
    async with fleet(fragile, model, tmp_path, world, ledger) as some:
        members = [await some.start() for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(Client(some, chance, session).talk()) for session in SESSIONS]
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.1, 0.3))
                assert not all(talk.done() for talk in talks), "the store was killed too late to be missed"
                await fragile.kill()
                await fragile.start()
        assert [one.membership.heartbeat.deaths for one in members] == [0, 0]
    entries: list[Entry] = []
    async with fragile.open() as stores:
        await ledger.check_kept(stores.sessions)
        for session in SESSIONS:
            log = await stores.sessions.read(key_of(session), 0, 10_000)
            check_log(log.entries, (await stores.sessions.read(key_of(session))).state())
            entries += log.entries
    ledger.check_claims()
    check_effects(tuple(entries), world)


async def test_a_store_that_forgets_what_it_acknowledged_would_be_noticed(fragile: Fragile, tmp_path: Path) -> None:
    ledger = Ledger()
    async with fleet(fragile, Puppet(["hi"]), tmp_path, ledger=ledger) as some:
        server = await some.start()
        await server.ask("one")
        await fragile.mark()
        await server.ask("two")
    await fragile.rewind()
    async with fragile.open() as stores:
        with pytest.raises(AssertionError, match="lost what was acknowledged"):
            await ledger.check_kept(stores.sessions)


async def restart_slowly(fragile: Fragile, directory: Path) -> None:
    """The store is away for longer than a lease, and one replica hears of its return later than the others."""
    gate = asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(SECONDS))
        proxy = await stack.enter_async_context(proxying(fragile.port, fragile.speech))
        members = [
            await stack.enter_async_context(
                member(fragile, Puppet([f"half of {port}", gate]), directory, port=port, timing=FIVEFOLD)
            )
            for port in (None, None, proxy.port)
        ]
        await seasoned(*members)
        accepted = [await one.say("one", f"s{number}") for number, one in enumerate(members)]
        incarnations = [one.membership.lease.incarnation for one in members]
        proxy.stall()
        await asyncio.sleep(2 * FIVEFOLD.sweep)
        await fragile.kill()
        await asyncio.sleep(AWAY)
        assert not any(one.membership.lease.is_valid for one in members)
        await fragile.start()
        await until(lambda: all(one.membership.lease.is_valid for one in members[:2]))
        await asyncio.sleep(FIVEFOLD.lease / 2)
        proxy.resume()
        await seasoned(*members)
        await asyncio.sleep(FIVEFOLD.lease / 2)
        gate.set()
        for one, item in zip(members, accepted, strict=True):
            seen = await one.follow(item)
            assert (seen.status, seen.of_type("run.resumed")) == ("completed", [])
        assert [one.membership.sweeper.burials for one in members] == [0, 0, 0]
        assert [one.membership.lease.incarnation for one in members] == incarnations


async def test_a_store_that_is_away_for_long_makes_nobody_bury_anybody(fragile: Fragile, tmp_path: Path) -> None:
    await restart_slowly(fragile, tmp_path)


async def test_a_judge_without_a_lease_of_its_own_would_be_noticed(
    fragile: Fragile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "is_seasoned", property(lambda self: self.is_valid))
    with pytest.raises(AssertionError):
        await restart_slowly(fragile, tmp_path)
