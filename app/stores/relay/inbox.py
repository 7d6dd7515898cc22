"""The inbox: what the other replicas say, and what is done about it."""

import logging
from collections.abc import Iterator
from typing import assert_never

from app.core.ids import Incarnation
from app.core.tasks import Tasks
from app.stores.bus import OpenItems
from app.stores.memory.bus import MemoryBus
from app.stores.relay.interest import Interest
from app.stores.relay.letters import (
    ADDRESS_BYTES,
    Address,
    Answering,
    Asking,
    Following,
    Greeting,
    Leaving,
    Letter,
    LiveLetter,
    Part,
    Waking,
    encode,
    messages_of,
    unpack,
    unpack_letter,
)
from app.stores.relay.outbox import Outbox
from app.stores.relay.parts import Assembly
from app.stores.relay.presence import Presence
from app.stores.relay.questions import PARCEL_BYTES, Freight, Questions

log = logging.getLogger(__name__)


class Inbox:
    """Reads payloads. What this program cannot read is as good as lost."""

    def __init__(
        self,
        me: Incarnation,
        local: MemoryBus,
        presence: Presence,
        interest: Interest,
        outbox: Outbox,
        questions: Questions,
        freight: Freight | None,
        tasks: Tasks,
    ) -> None:
        self._me = me
        self._local = local
        self._presence = presence
        self._interest = interest
        self._outbox = outbox
        self._questions = questions
        self._freight = freight
        self._tasks = tasks
        self._assembly = Assembly()
        self.received = 0
        """Payloads of others that could be read."""

    def receive(self, data: bytes) -> None:
        """The payload's letters have had their effect; one's own are ignored."""
        payload = unpack(data)
        if payload is None or payload.sender == self._me:
            return
        self.received += 1
        for letter in payload.letters:
            try:
                self._read(payload.sender, letter)
            except Exception:  # whoever listens must go on listening
                log.exception("could not deal with a letter", extra={"sender": payload.sender})

    def restart(self) -> None:
        """Everybody is asked what they follow, and told what is followed here: any of it may have got lost."""
        self._assembly.clear()
        self._outbox.tell(None, Greeting())
        self.tell_followed(None)

    def tell_followed(self, to: Incarnation | None) -> None:
        """That incarnation, or everybody, is told what is followed here."""
        followed = self._presence.followed()
        for sessions in self._chunks(followed):
            self._outbox.tell(to, Following(sessions))
        if to is None:
            self._presence.tell(followed)

    def renew(self) -> None:
        """Everybody is told again what is followed here, and what is not any more."""
        for sessions in self._chunks(self._presence.left()):
            self._outbox.tell(None, Leaving(sessions))
        self.tell_followed(None)

    def _read(self, sender: Incarnation, letter: Letter) -> None:
        match letter:
            case Asking() | Answering():
                self._converse(sender, letter)
            case Following(sessions=sessions):
                self._interest.note(sender, sessions)
            case Leaving(sessions=sessions):
                self._interest.drop(sender, sessions)
            case Greeting():
                self.tell_followed(sender)
            case Waking():
                self._local.wake()
            case Part():
                self._assemble(sender, letter)
            case _:
                self._deliver(letter)

    def _deliver(self, letter: LiveLetter) -> None:
        key = self._presence.key_of(letter.session)
        if key is not None:
            for message in messages_of(letter):
                self._local.publish(key, message)

    def _assemble(self, sender: Incarnation, part: Part) -> None:
        data = self._assembly.add(sender, part)
        letter = unpack_letter(data) if data is not None else None
        if letter is not None:
            self._read(sender, letter)

    def _converse(self, sender: Incarnation, letter: Asking | Answering) -> None:
        match letter:
            case Asking(number=number, session=session):
                self._interest.note(sender, (session,))
                self._answer(sender, number, session)
            case Answering(number=number, items=items):
                if not self._questions.is_open(letter):
                    return
                if items is not None:
                    self._questions.settle(number, items)
                elif self._freight is not None:
                    self._tasks.start(self._freight.collect(self._me, number))
            case _:
                assert_never(letter)

    def _answer(self, asker: Incarnation, number: int, session: Address) -> None:
        key = self._presence.key_of(session)
        items = self._local.open_items(key) if key is not None else None
        if items is not None:
            self._outbox.seal(session)
            self._send_answer(asker, number, items)

    def _send_answer(self, asker: Incarnation, number: int, items: OpenItems) -> None:
        data = encode(items)
        if self._freight is not None and len(data) > PARCEL_BYTES:
            self._tasks.start(self._freight.leave(asker, number, data))
        else:
            self._outbox.tell(asker, Answering(asker, number, items))

    def _chunks(self, sessions: tuple[Address, ...]) -> Iterator[tuple[Address, ...]]:
        """Gives them in portions that fit into a payload each."""
        size = self._outbox.room // (ADDRESS_BYTES + 4)
        return (sessions[start : start + size] for start in range(0, len(sessions), size))
