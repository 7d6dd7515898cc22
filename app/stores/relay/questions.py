"""Questions: what this replica asks the others, and how large answers travel."""

import asyncio
import logging
from itertools import count

from app.core.errors import StoreUnavailable
from app.core.ids import Incarnation
from app.stores.bus import OpenItems
from app.stores.relay.letters import Address, Answering, Asking, unpack_items
from app.stores.relay.outbox import Outbox
from app.stores.relay.wire import Parcels

log = logging.getLogger(__name__)

PARCEL_BYTES = 1024
"""Where there are parcels, an answer that is larger is one: what goes over the wire is dearer."""


class Questions:
    """Asks everybody, and waits for the first answer."""

    def __init__(self, me: Incarnation, outbox: Outbox) -> None:
        self._me = me
        self._outbox = outbox
        self._numbers = count(1)
        self._open: dict[int, asyncio.Future[OpenItems]] = {}

    async def ask(self, session: Address, timeout: float) -> OpenItems | None:
        """Gives the owner's open items, or None when nobody answers in time."""
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        self._outbox.tell(None, Asking(number, session))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._open[number]

    def is_open(self, answering: Answering) -> bool:
        """Says whether it is for us, and somebody still waits for it."""
        return answering.asker == self._me and answering.number in self._open

    def settle(self, number: int, items: OpenItems) -> None:
        """Who asked has the answer, if that was not too late."""
        answer = self._open.get(number)
        if answer is not None and not answer.done():
            answer.set_result(items)


class Freight:
    """Brings answers that are too large for letters, one by one."""

    def __init__(self, parcels: Parcels, outbox: Outbox, questions: Questions) -> None:
        self._parcels = parcels
        self._outbox = outbox
        self._questions = questions

    async def leave(self, asker: Incarnation, number: int, parcel: bytes) -> None:
        """The asker was told that its answer can be collected, unless that failed: then nobody has answered."""
        try:
            await self._parcels.leave(_name(asker, number), parcel)
        except StoreUnavailable as error:
            log.warning("an answer of %d bytes was lost: %s", len(parcel), error)
        else:
            self._outbox.tell(asker, Answering(asker, number))

    async def collect(self, asker: Incarnation, number: int) -> None:
        """Who asked has the answer, if it could be collected."""
        try:
            parcel = await self._parcels.collect(_name(asker, number))
        except StoreUnavailable as error:
            log.warning("an answer was lost: %s", error)
            return
        items = unpack_items(parcel) if parcel is not None else None
        if items is not None:
            self._questions.settle(number, items)


def _name(asker: Incarnation, number: int) -> str:
    return f"{asker}:{number}"
