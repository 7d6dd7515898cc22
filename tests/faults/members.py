"""Replicas that each have their own connections to one place, as processes have."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from app.engine.lease import Timing
from tests.faults.ledger import Ledger
from tests.faults.places import Place
from tests.support.puppet import Puppet
from tests.support.replica import FAST, Fleet, Replica, replica, until
from tests.support.tools import CountingTool

SECONDS = 30
"""How long anything may take."""


@asynccontextmanager
async def member(
    place: Place,
    model: Puppet,
    directory: Path,
    *,
    port: int | None = None,
    world: tuple[CountingTool, ...] = (),
    ledger: Ledger | None = None,
    timing: Timing = FAST,
) -> AsyncGenerator[Replica, None]:
    """Gives a replica that reaches the place through that port."""
    async with place.open(port) as opened:
        stores = opened if ledger is None else ledger.watch(opened)
        async with replica(stores, model, directory, tools=world, timing=timing) as server:
            yield server


@asynccontextmanager
async def fleet(
    place: Place,
    model: Puppet,
    directory: Path,
    world: tuple[CountingTool, ...] = (),
    ledger: Ledger | None = None,
) -> AsyncGenerator[Fleet, None]:
    """Gives a fleet of such replicas."""
    start = partial(member, place, model, directory, world=world, ledger=ledger)
    async with asyncio.timeout(SECONDS), Fleet(start).running() as opened:
        yield opened


async def seasoned(*members: Replica) -> None:
    """Those replicas may declare others dead."""
    await until(lambda: all(one.membership.lease.is_seasoned for one in members))
