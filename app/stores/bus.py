"""The port of what is live: deltas, announcements, wake-ups, questions. Everything on it may be lost without harm."""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from msgspec import Struct

from app.core.ids import Birth, ItemId, RunId
from app.core.keys import SessionKey
from app.core.records import Entry

DeltaKind = Literal["text", "thinking", "args", "output"]


class Delta(Struct, frozen=True, tag="delta"):
    """A piece of an open item. `seq`: the last record its runner had committed; `d` counts the epoch's deltas."""

    birth: Birth
    seq: int
    epoch: int
    d: int
    run_id: RunId
    item: ItemId
    kind: DeltaKind
    offset: int
    """In Unicode code points of that item and kind."""
    text: str
    merged: int = 0
    """How many earlier deltas are in it: those right before it, of the same item and kind."""

    @property
    def follows(self) -> int:
        """Gives the number of the delta that it continues; whoever has not seen that one has a gap."""
        return self.d - self.merged - 1


class Announced(Struct, frozen=True, tag="announced"):
    """The log of that birth has grown to `seq`; `entries` may carry its newest records, to save the readers a read."""

    birth: Birth
    seq: int
    entries: tuple[Entry, ...] = ()
    is_cut: bool = False
    """Whether its writer's records were left out for want of room: nothing that they close is still on its way."""


class Gone(Struct, frozen=True, tag="gone"):
    """The session was deleted."""

    birth: Birth


class Nudge(Struct, frozen=True, tag="nudge"):
    """Somebody appended what the owner should see now (a cancel)."""

    run_id: RunId


Live = Delta | Announced | Gone | Nudge


class OpenText(Struct, frozen=True):
    """All there is so far of one open item's text of one kind."""

    run_id: RunId
    item: ItemId
    kind: DeltaKind
    text: str


class OpenItems(Struct, frozen=True):
    """The owner's open items at one moment: everything up to delta `d` of `epoch`, after record `seq`."""

    birth: Birth
    seq: int
    epoch: int
    d: int
    items: tuple[OpenText, ...]


class Bus(Protocol):
    """Carries what is live between replicas. Callbacks run on the event loop and must not block or raise."""

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        """Every later message for the session reaches `deliver`, in order. Call the result to stop.

        `home`: the session runs here, or is about to. Then other replicas are not told at once, which costs nothing:
        until they know, what they have for the session's followers may be lost, but what they have for its owner
        arrives.
        """
        ...

    def publish(self, key: SessionKey, message: Live) -> None:
        """The message is on its way, or lost; deltas in a row may be merged into one. Never waits, never raises."""
        ...

    async def on_wake(self, deliver: Callable[[], None]) -> Callable[[], None]:
        """Every later wake-up reaches `deliver`. Call the result to stop."""
        ...

    def wake(self) -> None:
        """Every replica is told to call `take`. Carries nothing."""
        ...

    async def answer(self, key: SessionKey, owner: Callable[[], OpenItems]) -> Callable[[], None]:
        """Questions about the session's open items go to `owner`, until the result is called."""
        ...

    def ask(self, key: SessionKey, timeout: float) -> Awaitable[OpenItems | None]:
        """Gives the owner's open items, or None when nobody answers within `timeout` seconds."""
        ...
