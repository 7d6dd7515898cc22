"""Packing: letters into as few payloads as the wire's limit and price allow."""

from collections.abc import Callable, Sequence

from app.core.ids import Incarnation
from app.stores.relay.letters import pack
from app.stores.relay.wire import Post

PAYLOAD_OVERHEAD = 16
"""Bytes of a payload besides its sender and its letters, at the most."""

Next = Callable[[int], tuple[Sequence[Incarnation | None], bytes] | None]
"""Gives the next letter of at most so many bytes, and who is to have it."""


def pack_for_each(sender: Incarnation, take: Next, room: int) -> list[Post]:
    """Gives all letters, in as many payloads as they need for each destination; each gets them in order."""
    posts: list[Post] = []
    gathered: dict[Incarnation | None, _Gathered] = {}

    def close(destinations: Sequence[Incarnation | None]) -> None:
        posts.extend(Post(to, pack(sender, gathered.pop(to).letters)) for to in destinations)

    while (taken := take(room)) is not None:
        destinations, letter = taken
        if (None in destinations) != (None in gathered):
            close(tuple(gathered))
        for to in destinations:
            if to in gathered and gathered[to].size + len(letter) > room:
                close([to])
            gathered.setdefault(to, _Gathered()).add(letter)
    close(tuple(gathered))
    return posts


def pack_for_all(sender: Incarnation, take: Next, room: int) -> list[Post]:
    """Gives what fits into one payload: to its only destination, or to everybody."""
    payload = _Gathered()
    everyone: set[Incarnation | None] = set()
    while (taken := take(room - payload.size)) is not None:
        everyone.update(taken[0])
        payload.add(taken[1])
    if not payload.letters:
        return []
    to = everyone.pop() if len(everyone) == 1 else None
    return [Post(to, pack(sender, payload.letters))]


class _Gathered:
    """The letters of one payload."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.size = 0

    def add(self, letter: bytes) -> None:
        self.letters.append(letter)
        self.size += len(letter)
