"""Hundreds of clients that go away and come back, on several replicas: each is shown all of it, rightly, and once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.services import haproxy, nginx
from tests.torture.conftest import STORES, Shared, with_known_fault
from tests.torture.rig import Balancer, Load, Place, rigged


@pytest.mark.parametrize("store", with_known_fault(STORES), indirect=True)
async def test_without_faults(store: Shared, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """No gap, no reset, nothing twice, every text as it was recorded."""
    load = Load()
    place = Place(home=tmp_path, variables=store.variables, replicas=store.replicas, balancer=haproxy.balancing)
    async with rigged(place, load) as rig:
        await rig.torture()
        print(rig.summary)
        record_property("torture", rig.summary)
        assert not any({"gap", "reset"} & set(follower.seen.names) for follower in rig.followers)
        assert sum(follower.seen.compared for follower in rig.followers) > len(rig.followers)
        assert all(driver.finished for driver in rig.drivers)


@pytest.mark.parametrize("balancer", [haproxy.balancing, nginx.balancing])
async def test_behind_each_balancer(balancer: Balancer, tmp_path: Path) -> None:
    place = Place(home=tmp_path, variables={}, replicas=1, balancer=balancer)
    load = Load(sessions=2, fast=4, slow=4, slow_every=1.0, seconds=3.0, pieces=10, pace=0.03)
    async with rigged(place, load) as rig:
        await rig.torture()
        assert sum(follower.seen.compared for follower in rig.followers)
