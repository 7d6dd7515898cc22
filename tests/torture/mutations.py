"""The checker's own controls: each mutation is one line of the server gone wrong, and must turn the test red."""

from collections.abc import AsyncGenerator, Callable

from msgspec.structs import replace

from app.core.ids import Birth
from app.engine.channel import Channel
from app.engine.frames import Frame
from app.engine.shown import Shown
from app.engine.stream import Stream
from app.stores.bus import OpenItems

EVERY = 50


def nothing() -> None:
    """The server as it is."""


def replay_before_subscribe() -> None:
    """What came while a follower was replaying is passed over."""
    follow = Stream._follow

    def late(self: Stream, channel: Channel, position: int) -> AsyncGenerator[bytes, None]:
        return follow(self, channel, max(position, channel.ring.end))

    Stream._follow = late


def drop_deltas() -> None:
    """Some deltas are not sent, and nobody says so."""
    check = Stream._pass_delta

    def careless(self: Stream, channel: Channel, frame: Frame) -> bytes:
        data = check(self, channel, frame)
        return data if frame.d % EVERY else b""

    Stream._pass_delta = careless


def repeat_a_record() -> None:
    """A client that comes back is shown its last record again."""
    attend = Stream._attend

    def again(self: Stream, channel: Channel) -> AsyncGenerator[bytes, None]:
        self._cursor = replace(self._cursor, seq=max(0, self._cursor.seq - 1))
        return attend(self, channel)

    Stream._attend = again


def snapshot_without_its_d() -> None:
    """The owner does not say which deltas are in what it shows."""
    snapshot = Shown.snapshot

    def careless(self: Shown) -> OpenItems:
        return replace(snapshot(self), d=0)

    Shown.snapshot = careless


def no_reset() -> None:
    """A client whose log is gone is not told."""

    def silent(self: Stream, birth: Birth, reason: str) -> bytes:
        return b""

    Stream._reset = silent


MUTATIONS: dict[str, Callable[[], None]] = {
    change.__name__: change
    for change in (nothing, replay_before_subscribe, drop_deltas, repeat_a_record, snapshot_without_its_d, no_reset)
}


def mutate(name: str) -> None:
    """This process's server has that mutation."""
    MUTATIONS[name]()
