"""The engine's figures say how its parts are; every figure is documented, and named as the conventions want it."""

import ast
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from msgspec import Struct

from app.core.clock import SystemClock
from app.engine.broadcast import Broadcast
from app.engine.figures import engine_samples
from app.engine.lease import Timing
from app.engine.membership import Membership, Shared
from app.engine.services import Services
from app.engine.worker import Worker
from app.observability.connections import PoolFigures, RelayFigures
from app.observability.exposition import PREFIX
from app.observability.metrics import Figure, Sample
from app.stores.base import Replicas
from app.stores.memory.stores import open_memory
from tests.style.text import ROOT, sources
from tests.support.puppet import Puppet
from tests.support.replica import Replica, replica
from tests.unit.observability.scrapes import Figures, scraped

DOCUMENT = ROOT / "docs" / "operations.md"


class Parts:
    """The engine's parts as a source."""

    def __init__(self, services: Services, worker: Worker, broadcast: Broadcast, membership: Membership) -> None:
        self.parts = (services, worker, broadcast, membership)

    def samples(self) -> Iterable[Sample]:
        return engine_samples(*self.parts)


def figures() -> dict[str, Figure]:
    """Gives every figure that a module of the application defines, by name."""
    found: list[Figure] = []
    for path in sources("app"):
        if "Figure(" in (text := path.read_text("utf-8")) and any(map(_defines, ast.parse(text).body)):
            module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            found += [value for value in vars(module).values() if isinstance(value, Figure)]
    assert len({figure.name for figure in found}) == len(set(found)), "two figures share a name"
    return {figure.name: figure for figure in found}


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and "Figure(" in ast.unparse(node.value)


def flaws(figure: Figure) -> list[str]:
    """Says what the conventions have against it (https://prometheus.io/docs/practices/naming/)."""
    found = [f"{figure.name} is not snake_case"] if not re.fullmatch(r"[a-z]+(_[a-z]+)*", figure.name) else []
    if figure.name.endswith(("_count", "_sum", "_bucket", "_info", "_created")):
        found.append(f"{figure.name} ends as a part of another figure")
    if {"ms", "milliseconds", "minutes", "hours", "kb", "mb", "percent"} & set(figure.name.split("_")):
        found.append(f"{figure.name} is not in seconds or bytes")
    if not re.fullmatch(r"[A-Z].*\.", figure.meaning):
        found.append(f"{figure.name}'s meaning is no sentence")
    if forbidden := {"tenant", "user", "session", "run", "run_id", "le", "job", "instance"} & set(figure.labels):
        found.append(f"{figure.name} has the label {forbidden}")
    return found


def test_every_figure_is_named_as_it_should_be() -> None:
    assert [flaw for figure in figures().values() for flaw in flaws(figure)] == []
    assert len(figures()) > 30
    for bad in ("Runs", "runs_count", "wait_ms", "wait_minutes_total"):
        assert flaws(Figure(bad, "Bad."))
    assert flaws(Figure("runs", "no sentence"))
    assert flaws(Figure("runs", "Runs.", ("tenant",)))


def test_every_figure_is_documented_and_no_other() -> None:
    told = set(re.findall(rf"`{PREFIX}(\w+)`", DOCUMENT.read_text("utf-8"))) - {"build_info"}
    assert told == set(figures())


def test_alerts_ask_for_figures_that_exist() -> None:
    asked = set(re.findall(rf"\b{PREFIX}(\w+)", DOCUMENT.read_text("utf-8")))
    assert {name.removesuffix("_bucket") for name in asked} - {"build_info"} <= set(figures())


@asynccontextmanager
async def working(path: Path, *answers: list[str]) -> AsyncGenerator[Replica, None]:
    async with open_memory(SystemClock()) as stores, replica(stores, Puppet(*answers), path, slots=3) as one:
        yield one


async def looked_at(one: Replica, membership: Membership | None = None) -> Figures:
    engine = one.engine
    parts = Parts(one.services, engine._worker, engine._broadcast, membership or engine.membership)
    return await scraped(parts)


async def test_slots_and_channels_are_told_of(tmp_path: Path) -> None:
    async with working(tmp_path, ["hi"]) as one:
        before = await looked_at(one)
        assert (before["baton_slots"], before["baton_slots_taken"], before["baton_sessions_running"]) == (3, 0, 0)
        accepted = await one.say("hi")
        during = await looked_at(one)
        assert (during["baton_slots_taken"], during["baton_sessions_running"]) == (1, 1)
        assert during["baton_channels_open"] == 1
        await one.read(accepted)
        await one.engine.drain(1)
        after = await looked_at(one)
        assert (after["baton_slots_taken"], after["baton_draining"]) == (0, 1)


async def test_a_replica_alone_is_always_valid(tmp_path: Path) -> None:
    async with working(tmp_path, ["hi"]) as one:
        found = await looked_at(one)
        assert found["baton_lease_valid"] == 1
        assert not {name for name in found.names() if "heartbeat" in name}


@asynccontextmanager
async def nowhere() -> AsyncGenerator[Replicas, None]:
    raise ConnectionError
    yield


async def test_heartbeats_are_told_of(tmp_path: Path) -> None:
    async with working(tmp_path, ["hi"]) as one:
        one.services = replace(one.services, timing=Timing(lease=100))
        member = Shared(one.services, nowhere)
        assert (await looked_at(one, member))["baton_lease_valid"] == 0
        now = one.services.clock.monotonic()
        for ago in (20, 10):
            member.heartbeat._renew(member.lease, now - ago)
        member.heartbeat._miss()
        found = await looked_at(one, member)
        assert (found["baton_lease_valid"], found["baton_heartbeats_total"]) == (1, 2)
        assert found["baton_heartbeat_failures_total"] == 1
        assert found["baton_heartbeat_age_seconds"] == pytest.approx(10, abs=5)
        member.heartbeat._rejoin(member.lease)
        found = await looked_at(one, member)
        assert (found["baton_lease_valid"], found["baton_incarnations_lost_total"]) == (0, 1)


async def test_streams_are_told_of(tmp_path: Path) -> None:
    async with working(tmp_path, ["hi"]) as one:
        seen = one.engine._broadcast
        seen.streams, seen.gaps, seen.resets, seen.cut_off, seen.asks = 2, 3, 5, 7, 11
        found = await looked_at(one)
        counts = {"streams_open": 2, "stream_gaps_total": 3, "stream_resets_total": 5, "streams_cut_off_total": 7}
        assert {name: found[PREFIX + name] for name in counts} == counts
        assert found["baton_stream_asks_total"] == 11


class Counts(Struct):
    """A pool and a bus, as far as anybody counts."""

    size: int = 16
    in_use: int = 3
    sent: int = 5
    received: int = 7
    dropped: int = 2


async def test_pools_and_buses_are_told_of() -> None:
    found = await scraped(PoolFigures("redis", Counts()), RelayFigures("redis", Counts()))
    assert found.of("baton_pool_connections_limit", backend="redis") == 16
    assert found.of("baton_pool_connections_in_use", backend="redis") == 3
    names = ("payloads_sent", "payloads_received", "deltas_dropped")
    counts = [found.of(f"baton_bus_{name}_total", bus="redis") for name in names]
    assert counts == [5, 7, 2]
