"""The checker's own controls: a server with one line gone wrong turns it red, and soon."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.services import haproxy
from tests.support.sse import Event
from tests.torture.faults import SETTLE_SECONDS, FaultLog
from tests.torture.mutations import MUTATIONS
from tests.torture.rig import Load, Place, Rig, rigged
from tests.torture.witness import Witness

LOAD = Load(
    sessions=2, fast=12, slow=2, fast_every=0.1, slow_every=1.0, append_every=0.05, seconds=4, pieces=20, pace=0.02
)


async def recreate(rig: Rig) -> None:
    """A session is deleted, and made anew under the same name, while its clients come and go."""
    await asyncio.sleep(LOAD.seconds / 2)
    with rig.faults.during("recreate"):
        await rig.drivers[0].delete()
    await asyncio.sleep(LOAD.seconds / 2)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_mutation(name: str, tmp_path: Path) -> None:
    place = Place(home=tmp_path, variables={}, replicas=1, balancer=haproxy.balancing, mutation=name)
    found: BaseException | None = None
    async with rigged(place, LOAD) as rig:
        try:
            async with asyncio.timeout(20):
                await rig.torture(recreate)
        except* (AssertionError, TimeoutError) as error:
            found = error
    assert (found is not None) == (name != "nothing"), found


@pytest.mark.parametrize("name", ["gap", "reset"])
def test_only_a_fault_excuses(name: str) -> None:
    faults = FaultLog()
    event = Event("b.3", name, {"epoch": 1, "from": 1, "to": 2} if name == "gap" else {"reason": "epoch", "after": 3})
    with pytest.raises(AssertionError, match="without a fault"):
        Witness(faults.explains, whole_session=True).apply(event)
    with faults.during("kill"):
        Witness(faults.explains, whole_session=True).apply(event)
    assert not faults.explains(time.monotonic() + SETTLE_SECONDS + 1)
