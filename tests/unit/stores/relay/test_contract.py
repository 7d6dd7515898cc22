"""The bus's contract holds for a relay, alone and between two replicas on the same real server."""

from collections.abc import Awaitable, Callable

import pytest

from app.core.keys import SessionKey
from app.stores.bundle import Stores
from app.stores.bus import Bus, Live, OpenItems
from tests.contracts import test_bus
from tests.unit.stores.relay.media import Relays, Replica, until

Contract = Callable[[Stores], Awaitable[None]]
CONTRACTS: list[Contract] = [test for name, test in vars(test_bus).items() if name.startswith("test_")]


class Apart:
    """Two replicas as one bus: what is said at one is heard at the other, all of what was said before."""

    def __init__(self, speaker: Replica, listener: Replica) -> None:
        self._speaker = speaker
        self._listener = listener

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        await self._settle()
        stop = await self._listener.bus.subscribe(key, deliver, home=home)
        await self._speaker.knows(key, self._listener)
        return stop

    def publish(self, key: SessionKey, message: Live) -> None:
        self._speaker.bus.publish(key, message)

    async def on_wake(self, deliver: Callable[[], None]) -> Callable[[], None]:
        return await self._listener.bus.on_wake(deliver)

    def wake(self) -> None:
        self._speaker.bus.wake()

    async def answer(self, key: SessionKey, owner: Callable[[], OpenItems]) -> Callable[[], None]:
        return await self._speaker.bus.answer(key, owner)

    async def ask(self, key: SessionKey, timeout: float) -> OpenItems | None:
        return await self._listener.bus.ask(key, timeout)

    async def _settle(self) -> None:
        """What was published before has arrived."""
        rings: list[None] = []
        stop = await self._listener.bus.on_wake(lambda: rings.append(None))
        self._speaker.bus.wake()
        await until(lambda: bool(rings))
        stop()


class Bundle:
    """As much of stores as the contract uses."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus


def test_the_contracts_were_found() -> None:
    assert len(CONTRACTS) >= 13


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
async def test_alone(contract: Callable[[Bundle], Awaitable[None]], real_relays: Relays) -> None:
    await contract(Bundle((await real_relays.start()).bus))


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
async def test_apart(contract: Callable[[Bundle], Awaitable[None]], real_relays: Relays) -> None:
    await contract(Bundle(Apart(await real_relays.start(), await real_relays.start())))
