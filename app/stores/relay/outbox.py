"""The outbox: what waits to be sent to other replicas. Nobody waits for it, and it never holds much.

One task drains it. What comes while a sending is under way, or before the wire may be used again, gathers and goes
together. Deltas that have waited too long are dropped, all of their session's: followers notice the gap and ask.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence

from msgspec import Struct

from app.core.errors import StoreUnavailable
from app.core.ids import Incarnation
from app.stores.bus import Live
from app.stores.relay.backlog import Backlog
from app.stores.relay.interest import Interest
from app.stores.relay.letters import Address, Letter, encode
from app.stores.relay.packing import PAYLOAD_OVERHEAD, pack_for_all, pack_for_each
from app.stores.relay.parts import Divider
from app.stores.relay.wire import Wire

log = logging.getLogger(__name__)

DELTA_SECONDS = 0.5
"""How long a delta may wait."""
FAILURE_SECONDS = 0.25
"""How long the wire is left alone after a failure."""
MAX_BYTES = 16 * 1024 * 1024
"""How much may wait of what does not belong to one session's messages."""

Destinations = Sequence[Incarnation | None]
EVERYBODY: Destinations = (None,)


class _Ready(Struct):
    """An encoded letter."""

    to: Incarnation | None
    data: bytes
    sent: asyncio.Future[None] | None = None


class Outbox:
    """Gathers letters and sends them over a wire."""

    def __init__(self, wire: Wire, sender: Incarnation, interest: Interest) -> None:
        self.dropped = 0
        """Deltas that were not sent, because the wire is too slow."""
        self.payloads = 0
        """Payloads that were sent."""
        self._wire = wire
        self._sender = sender
        self._interest = interest
        self.room = wire.terms.limit - len(sender.encode()) - PAYLOAD_OVERHEAD
        """Bytes that the letters of a payload may have."""
        self._divider = Divider(self.room, wire.terms.parts)
        self._letters: deque[_Ready] = deque()
        self._size = 0
        self._backlogs: OrderedDict[Address, Backlog] = OrderedDict()
        self._filled = asyncio.Event()
        self._receipts: list[asyncio.Future[None]] = []
        self._works = True
        self._is_turn_of_messages = False
        """Whether messages go before letters: they take turns, lest many of these leave no room for those."""

    def publish(self, session: Address, message: Live, *, everybody: bool) -> None:
        """The message will be sent to those who follow the session when its turn comes, or to everybody."""
        backlog = self._backlogs.get(session)
        if backlog is None:
            backlog = self._backlogs[session] = Backlog(session, self.room, self._divider)
        backlog.add(message, asyncio.get_running_loop().time(), everybody=everybody)
        self._filled.set()

    def tell(self, to: Incarnation | None, letter: Letter) -> None:
        """The letter will be sent, in turn with messages; it is lost if it is too large, or too much waits."""
        data = encode(letter)
        if len(data) > self._divider.largest or self._size > MAX_BYTES:
            return
        parts = [data] if len(data) <= self.room else self._divider.divide(data)
        for part in parts:
            self._put(_Ready(to, part))

    async def told(self, letter: Letter) -> None:
        """The letter, which fits into a payload, was sent to everybody, or is lost."""
        sent = asyncio.get_running_loop().create_future()
        self._put(_Ready(None, encode(letter), sent))
        await sent

    def seal(self, session: Address) -> None:
        """What follows about the session is not merged with what waits now."""
        if session in self._backlogs:
            self._backlogs[session].seal()

    async def drain(self) -> None:
        """Sends what waits, for ever."""
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        while True:
            await self._filled.wait()
            await self._rest_until(free_at)
            self._filled.clear()
            free_at = await self._send_some() + loop.time()
            if self._letters or self._backlogs:
                self._filled.set()

    async def _rest_until(self, moment: float) -> None:
        loop = asyncio.get_running_loop()
        if moment > loop.time():
            rested = asyncio.Event()
            loop.call_at(moment, rested.set)
            await rested.wait()

    def next(self, room: int) -> tuple[Destinations, bytes] | None:
        """Gives the next letter and its destinations, if there is one and it has at most `room` bytes."""
        if self._is_turn_of_messages:
            return self._next_message(room) or self._next_letter(room)
        return self._next_letter(room) or self._next_message(room)

    async def emptied(self) -> None:
        """All letters that wait now were sent, or are lost."""
        if self._letters:
            last = self._letters[-1]
            last.sent = last.sent or asyncio.get_running_loop().create_future()
            await asyncio.wait([last.sent])

    def _next_message(self, room: int) -> tuple[Destinations, bytes] | None:
        while self._backlogs:
            session, backlog = next(iter(self._backlogs.items()))
            destinations = self._destinations(session, backlog)
            letter = backlog.take(room) if destinations else None
            if letter is not None:
                self._turn(session, backlog)
                return destinations, letter
            if destinations and room < self.room:
                return None
            if destinations:
                backlog.skip()
            else:
                backlog.keep_public()
            self._turn(session, backlog)
        return None

    async def _send_some(self) -> float:
        """Sends what may go now; gives the seconds until the wire may be used again."""
        self._expire()
        terms = self._wire.terms
        packed = pack_for_all if terms.shared else pack_for_each
        posts = packed(self._sender, self.next, self.room)
        self._is_turn_of_messages = not self._is_turn_of_messages
        receipts, self._receipts = self._receipts, []
        try:
            if posts:
                await self._wire.send(posts)
                self.payloads += len(posts)
        except StoreUnavailable as error:
            self._note(error)
            return FAILURE_SECONDS
        except Exception:
            log.exception("could not send; what was to be sent is lost")
            return FAILURE_SECONDS
        finally:
            for receipt in receipts:
                if not receipt.done():
                    receipt.set_result(None)
        self._note(None)
        return terms.pace if posts else 0.0

    def _note(self, error: StoreUnavailable | None) -> None:
        if error is not None and self._works:
            log.warning("cannot tell the other replicas anything: %s", error)
        self._works = error is None

    def _put(self, letter: _Ready) -> None:
        self._letters.append(letter)
        self._size += len(letter.data)
        self._filled.set()

    def _next_letter(self, room: int) -> tuple[Destinations, bytes] | None:
        if not self._letters or len(self._letters[0].data) > room:
            return None
        letter = self._letters.popleft()
        self._size -= len(letter.data)
        if letter.sent is not None:
            self._receipts.append(letter.sent)
        return (letter.to,), letter.data

    def _destinations(self, session: Address, backlog: Backlog) -> Destinations:
        if not backlog:  # all that waited was dropped
            return ()
        return EVERYBODY if backlog.is_for_everybody else self._interest.of(session)

    def _turn(self, session: Address, backlog: Backlog) -> None:
        """What still waits of the session has its turn after the others."""
        if backlog:
            self._backlogs.move_to_end(session)
        else:
            del self._backlogs[session]
            self.dropped += backlog.dropped

    def _expire(self) -> None:
        before = asyncio.get_running_loop().time() - DELTA_SECONDS
        for backlog in self._backlogs.values():
            backlog.expire(before)
