"""Tokens that count."""

from itertools import count


class SequentialIds:
    """Gives `t1`, `t2`, …: unique within a test, and the same in every run of it."""

    def __init__(self, prefix: str = "t") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def token(self) -> str:
        """Gives the next token."""
        return f"{self._prefix}{next(self._numbers)}"
