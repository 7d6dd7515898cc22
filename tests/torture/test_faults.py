"""The same under faults: whatever a client is told to have missed is some fault's doing, and all ends well."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.services import haproxy
from tests.torture.conftest import SHARED, Shared, with_known_fault
from tests.torture.rig import Injure, Load, Place, Rig, rigged

QUIET_SECONDS = 3.0
"""Before the first fault: whatever is missed then is nobody's fault."""
PAUSE_SECONDS = 6.0
"""Longer than a lease: others take the sleeper's sessions over."""
LOAD = Load(sessions=8, fast=8, slow=32, settle=90.0)


async def kill(rig: Rig) -> None:
    """A replica is killed and started again."""
    await asyncio.sleep(QUIET_SECONDS)
    with rig.faults.during("kill"):
        rig.replicas[0].kill()
        await asyncio.sleep(1.0)
        await rig.replicas[0].start()


async def pause(rig: Rig) -> None:
    """Another one sleeps for so long that it is taken for dead, and wakes up."""
    await asyncio.sleep(QUIET_SECONDS)
    with rig.faults.during("pause"):
        rig.replicas[1].send(signal.SIGSTOP)
        await asyncio.sleep(PAUSE_SECONDS)
        rig.replicas[1].send(signal.SIGCONT)


def cutting(cut: Callable[[], None]) -> Injure:
    """Gives the fault that kills all connections to the store, twice."""

    async def cut_twice(rig: Rig) -> None:
        for _ in range(2):
            await asyncio.sleep(QUIET_SECONDS)
            with rig.faults.during("cut"):
                await asyncio.to_thread(cut)

    return cut_twice


@pytest.mark.parametrize("store", with_known_fault(SHARED), indirect=True)
async def test_under_faults(store: Shared, tmp_path: Path) -> None:
    """One replica is killed, another sleeps, and every connection to the store breaks."""

    async def injure(rig: Rig) -> None:
        for fault in (kill, pause, cutting(store.cut)):
            await fault(rig)

    place = Place(home=tmp_path, variables=store.variables, replicas=store.replicas, balancer=haproxy.balancing)
    async with rigged(place, LOAD) as rig:
        await rig.torture(injure)
        print(rig.summary)
        assert all(driver.finished for driver in rig.drivers)
