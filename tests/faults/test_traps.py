"""How others' servers fail on their Redis or Postgres, and this one does not."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from app.core.errors import BatonError
from app.engine.views import Accepted
from app.llm.base import ModelEvent, ModelRequest
from tests.faults.members import SECONDS, fleet, member
from tests.faults.places import Place, RedisPlace
from tests.support.proxy import proxying
from tests.support.puppet import Puppet
from tests.support.replica import WHO, Replica, replica, until
from tests.support.services.redis import shared_server
from tests.support.viewer import Viewer, view

SILENCE = 5.5
"""Longer than the time-out that killed the listener."""
AT_ONCE = 1.0
"""Sooner than by looking around every 2 s, most of the time."""
CUTS = 3


async def test_trap_locks_held_with_a_pooled_connection(make: Callable[[], Place], tmp_path: Path) -> None:
    """A call to the model kept a connection of the pool for as long as it lasted, and a few of them took them all."""
    gate = asyncio.Event()
    model = Puppet(["half ", gate, "whole"])
    async with (
        asyncio.timeout(SECONDS),
        make().open(pool=2) as stores,
        replica(stores, model, tmp_path, slots=20) as server,
    ):
        accepted = [await server.say("one", f"s{number}") for number in range(10)]
        await until(lambda: len(model.requests) == len(accepted))
        assert (await server.engine.sessions(WHO, None, None, 100)).sessions
        gate.set()
        assert {(await server.engine.finished(WHO, each.run_id)).status for each in accepted} == {"completed"}


async def test_trap_a_replay_that_expires(tmp_path: Path) -> None:
    """What a session holds expired unless somebody wrote to it, and those who came back found nothing."""
    place = RedisPlace(shared_server())
    async with place.open() as stores, replica(stores, Puppet(["hi"]), tmp_path) as server:
        assert view(await server.ask("one")).status == "completed"
    names = place.server.ask("KEYS", "baton:*", database=place.number)
    kept = [name for name in names if b"session:" in name]
    assert kept, names
    assert {place.server.ask("TTL", name, database=place.number) for name in kept} == {-1}


class Slow(Puppet):
    """Takes its time between two pieces."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        async for batch in super().stream(request):
            await asyncio.sleep(0.02)
            yield batch


async def follow(server: Replica, accepted: Accepted, seen: Viewer) -> None:
    """The run's end was seen, over any number of connections."""
    while not seen.of_type("run.finished"):
        seen.reconnect()
        try:
            stream = await server.engine.follow_run(WHO, accepted.run_id, seen.last_id)
            async for data in stream.frames():
                seen.feed(data)
        except BatonError:
            await asyncio.sleep(0.02)


async def test_trap_one_error_dropped_the_event_for_good(make: Callable[[], Place], tmp_path: Path) -> None:
    """One error of the store while an event was passed on, and who listened elsewhere never got it."""
    place, model, seen = make(), Slow(["piece "] * 60), Viewer()
    async with (
        asyncio.timeout(SECONDS),
        proxying(place.port, place.speech) as proxy,
        member(place, model, tmp_path) as owner,
        member(place, model, tmp_path, port=proxy.port) as other,
        asyncio.TaskGroup() as group,
    ):
        accepted = await owner.say("one")
        following = group.create_task(follow(other, accepted, seen))
        await until(lambda: "delta" in seen.names or "item.snapshot" in seen.names)
        for _ in range(CUTS):
            assert not following.done(), "it was all said before the last cut"
            proxy.sever()
            await asyncio.sleep(0.2)
    assert seen.status == "completed"
    assert [record["type"] for record in seen.records][-2:] == ["message.appended", "run.finished"]
    assert not seen.of_type("run.resumed")


async def test_trap_a_silent_listener_dies(make: Callable[[], Place], tmp_path: Path) -> None:
    """A connection on which nothing was said for five seconds was dead, and cancelling from elsewhere had no effect."""
    model = Puppet(["half", asyncio.Event()])
    async with fleet(make(), model, tmp_path) as some:
        owner, other = await some.start(), await some.start()
        accepted = await owner.say("one")
        await model.began.wait()
        await asyncio.sleep(SILENCE)
        async with asyncio.timeout(AT_ONCE):
            await other.engine.cancel(WHO, accepted.run_id)
            await until(lambda: owner.engine._worker.free == owner.services.slots)
        assert (await other.engine.finished(WHO, accepted.run_id)).status == "cancelled"
