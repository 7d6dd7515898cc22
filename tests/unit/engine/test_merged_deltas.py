"""A bus under load merges deltas; a client whose snapshot has the first half of some is shown the other half."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from msgspec.structs import replace

from app.core.keys import SessionKey
from app.stores.bundle import Stores
from app.stores.bus import Delta, Live
from app.stores.memory.bus import MemoryBus
from tests.support.puppet import Piece, Puppet
from tests.support.replica import WHO, replica
from tests.support.viewer import Viewer


class MergingBus(MemoryBus):
    """Holds deltas back until it is told, and then sends them as one."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Delta] = []
        self.holding = False

    def publish(self, key: SessionKey, message: Live) -> None:
        if self.holding and isinstance(message, Delta):
            self.held.append(message)
            return
        self.release(key)
        super().publish(key, message)

    def release(self, key: SessionKey) -> None:
        """What was held back is on its way."""
        held, self.held = self.held, []
        if held:
            text = "".join(delta.text for delta in held)
            super().publish(key, replace(held[-1], offset=held[0].offset, text=text, merged=len(held) - 1))


async def until(frames: AsyncGenerator[bytes, None], seen: Viewer, text: str) -> None:
    """The viewer was shown so much of the open item."""
    while "".join(seen.texts.values()) != text:
        seen.feed(await anext(frames))


async def test_what_the_snapshot_has_is_not_shown_again(stores: Stores, tmp_path: Path) -> None:
    bus = MergingBus()
    gates = [asyncio.Event() for _ in range(6)]
    words: list[Piece] = [piece for gate in gates for piece in ("wörd🎉 ", gate)]
    early, late = Viewer(), Viewer()
    async with replica(replace(stores, bus=bus), Puppet(words), tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("go")
        async with aclosing((await server.engine.follow_accepted(accepted)).frames()) as first:
            await until(first, early, "wörd🎉 ")
            bus.holding = True
            for gate in gates[:2]:
                gate.set()
                while len(bus.held) != gates.index(gate) + 1:
                    await asyncio.sleep(0)
            follow = await server.engine.follow_run(WHO, accepted.run_id, None)
            async with aclosing(follow.frames()) as second:
                await until(second, late, "wörd🎉 " * 3)
                gates[2].set()
                while len(bus.held) != 3:
                    await asyncio.sleep(0)
                bus.holding = False
                bus.release(accepted.key)
                await until(second, late, "wörd🎉 " * 4)
                await until(first, early, "wörd🎉 " * 4)
                for gate in gates:
                    gate.set()
                for frames, seen in ((first, early), (second, late)):
                    async for data in frames:
                        seen.feed(data)
    assert early.closed == late.closed == dict.fromkeys(early.closed, "wörd🎉 " * 6)
    assert not {"gap", "reset"} & {*early.names, *late.names}
    assert early.names.count("item.snapshot") == 0
    assert late.names.count("item.snapshot") == 1
