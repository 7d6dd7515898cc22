"""The bus may lose anything: lost deltas end in a gap and a whole item, lost announcements in a read of the store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.keys import SessionKey
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Live
from app.stores.memory.bus import MemoryBus
from tests.support.puppet import Piece, Puppet
from tests.support.replica import WHO, replica
from tests.support.viewer import Viewer


class LossyBus(MemoryBus):
    """Loses the messages that the test picks."""

    def __init__(self, loses: Callable[[Live], bool]) -> None:
        super().__init__()
        self.lost: list[Live] = []
        self._loses = loses

    def publish(self, key: SessionKey, message: Live) -> None:
        if self._loses(message):
            self.lost.append(message)
        else:
            super().publish(key, message)


async def open_one_by_one(gates: list[asyncio.Event]) -> None:
    """The gates are open, with time between them for what each lets through."""
    for gate in gates:
        gate.set()
        await asyncio.sleep(0.03)


async def watch(stores: Stores, bus: LossyBus, directory: Path) -> Viewer:
    """Gives what a viewer saw of a run of ten words, each let through once the last one was shown or lost."""
    gates = [asyncio.Event() for _ in range(10)]
    words: list[Piece] = [piece for gate in gates for piece in (gate, "word ")]
    seen = Viewer()
    async with replica(replace(stores, bus=bus), Puppet(words), directory) as server, asyncio.timeout(10):
        accepted = await server.say("go")
        stream = (await server.engine.follow_accepted(accepted)).frames()

        async with asyncio.TaskGroup() as group:
            group.create_task(open_one_by_one(gates))
            async for data in stream:
                seen.feed(data)
        assert (await server.engine.run(WHO, accepted.run_id)).status == "completed"
    return seen


@pytest.mark.parametrize("first", [1, 2, 5, 8])
@pytest.mark.parametrize("count", [1, 2])
async def test_lost_deltas_are_a_gap_and_then_the_item_whole(
    stores: Stores, tmp_path: Path, first: int, count: int
) -> None:
    bus = LossyBus(lambda message: isinstance(message, Delta) and first <= message.d < first + count)
    seen = await watch(stores, bus, tmp_path)
    assert len(bus.lost) == count
    assert seen.names.count("gap") == (first > 1)
    assert seen.names.count("item.snapshot") == 1
    assert first == 1 or seen.names[seen.names.index("gap") + 1] == "item.snapshot"
    assert list(seen.closed.values()) == ["word " * 10]


async def test_without_loss_there_is_no_gap(stores: Stores, tmp_path: Path) -> None:
    seen = await watch(stores, LossyBus(lambda _: False), tmp_path)
    assert not {"gap", "reset", "item.snapshot"} & set(seen.names)
    assert list(seen.closed.values()) == ["word " * 10]


async def test_trap_one_bus_error_drops_the_event_for_good(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records whose announcements are all lost still reach the viewer: the followed heads are read every 2 s."""
    monkeypatch.setattr("app.engine.broadcast.TICK_SECONDS", 0.1)
    bus = LossyBus(lambda message: isinstance(message, Announced))
    seen = await watch(stores, bus, tmp_path)
    assert [record["type"] for record in seen.records] == [
        "run.queued",
        "run.started",
        "message.appended",
        "run.finished",
    ]


async def test_another_runs_gap_is_healed_without_showing_its_text(stores: Stores, tmp_path: Path) -> None:
    bus = LossyBus(lambda message: isinstance(message, Delta) and message.d == 3)
    gates = [asyncio.Event() for _ in range(6)]
    words: list[Piece] = [piece for gate in gates for piece in (gate, "word ")]
    async with replica(replace(stores, bus=bus), Puppet(words, ["mine"]), tmp_path) as server, asyncio.timeout(10):
        await server.say("theirs")
        mine = await server.say("mine")
        stream = (await server.engine.follow_accepted(mine)).frames()
        seen = Viewer()
        async with asyncio.TaskGroup() as group:
            group.create_task(open_one_by_one(gates))
            async for data in stream:
                seen.feed(data)
    assert bus.lost
    assert "item.snapshot" not in seen.names
    assert list(seen.closed.values()) == ["mine"]
