"""A sink: where a follower's frames go at once, without its being woken for them."""

from collections.abc import Callable

Sink = Callable[[bytes], bool]
"""Takes whole frames and never waits. False: it has not taken them, and whoever can wait has to write them."""


def refuse(_: bytes) -> bool:
    """Takes nothing."""
    return False
