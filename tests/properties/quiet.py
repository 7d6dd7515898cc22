"""Quiescence: nobody sends anything any more, the dead are swept, and everybody else works until nothing is left."""

from app.core.ids import item_id
from app.core.keys import SessionKey
from app.core.records import ApprovalResolved
from tests.properties.laws import check_quiet
from tests.properties.world import Replica, World

ROUNDS = 200
"""More than any world needs; one that needs more goes round in circles."""


async def settle(world: World) -> None:
    """All is quiet, and every log keeps the laws of quiet."""
    if not any(replica.alive for replica in world.replicas):
        await world.join()
    for replica in world.replicas:
        if not replica.alive:
            await world.expire(replica, 100)
    for _ in range(ROUNDS):
        moved = [await work(world, replica) for replica in world.replicas]
        if not any(moved) and not await wake(world):
            break
    for key, facts in world.logs.items():
        await check_quiet(world.stores, key, facts)


async def work(world: World, replica: Replica) -> bool:
    """The replica goes on with what it has, and takes what is ready; a ghost only stumbles over its claims."""
    for runner in list(replica.runners):
        await world.advance(replica, runner, "finish", inherits=False, checkpoint=False, lost=False)
    took = await world.take(replica, slots=10, forgets=False, lost=False) if replica.alive else 0
    return bool(took or replica.runners)


async def wake(world: World) -> bool:
    """Every suspended run gets what it waits for."""
    asleep = [key for key, facts in world.logs.items() if facts.status == "suspended"]
    for key in asleep:
        await approve(world, key)
    return bool(asleep)


async def approve(world: World, key: SessionKey) -> None:
    """Somebody decides on what the active run waits for."""
    run = world.logs[key].shape.active
    assert run is not None
    item = item_id(run, 0, 1)
    record = ApprovalResolved(at=world.clock.now(), run_id=run, item=item, decision="approved")
    await world.append(key, record, behind=False)
