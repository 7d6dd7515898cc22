"""What is shown goes out in pieces that every bus can carry, and they add up."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.keys import SessionKey
from app.engine.shown import COALESCE_CHARS
from app.stores.bundle import Stores
from app.stores.bus import Delta, Live
from app.stores.memory.bus import MemoryBus
from app.stores.postgres.notify import TERMS
from app.stores.relay.backlog import OVERHEAD, Backlog
from app.stores.relay.letters import address_of
from app.stores.relay.parts import Divider
from tests.support.puppet import Puppet
from tests.support.replica import key_of, replica
from tests.support.viewer import view


class HeardBus(MemoryBus):
    """Remembers the deltas."""

    def __init__(self) -> None:
        super().__init__()
        self.deltas: list[Delta] = []

    def publish(self, key: SessionKey, message: Live) -> None:
        if isinstance(message, Delta):
            self.deltas.append(message)
        super().publish(key, message)


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}"])
async def test_trap_a_long_piece_of_the_providers_is_too_large_for_the_bus(
    stores: Stores, tmp_path: Path, letter: str
) -> None:
    """One chunk of 100,000 characters becomes deltas that each fit over the narrowest wire."""
    bus, text = HeardBus(), letter * 100_000
    async with replica(replace(stores, bus=bus), Puppet([text]), tmp_path) as server:
        assert view(await server.ask("one")).status == "completed"
    assert "".join(delta.text for delta in bus.deltas) == text
    assert [delta.offset for delta in bus.deltas] == list(range(0, len(text), COALESCE_CHARS))
    assert [delta.d for delta in bus.deltas] == list(range(1, len(bus.deltas) + 1))
    for delta in bus.deltas:
        room = TERMS.limit - OVERHEAD
        waiting = Backlog(address_of(key_of("s1")), room, Divider(room, TERMS.parts))
        waiting.add(delta, 0, everybody=False)
        assert not waiting.dropped
