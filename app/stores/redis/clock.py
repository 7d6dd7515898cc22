"""What scripts are told of the time: nothing, for then the server's own clock decides, unless a test's clock does."""

from collections.abc import Callable

Stamp = Callable[[], str]
"""Gives a script's `now` argument: seconds since the epoch, or nothing."""


def stamp(now: Callable[[], float] | None) -> Stamp:
    """Gives the stamp that says what `now` gives; for None, one that says nothing."""
    return (lambda: "") if now is None else (lambda: f"{now():.6f}")
