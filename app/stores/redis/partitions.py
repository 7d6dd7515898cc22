"""What lies in many partitions, or in one and beside it, asked for at once.

A request that names keys of several hash tags is possible where one server has them all: a replica that looks for work
every other second then costs next to nothing, and a new session no more than an old one. A cluster refuses such a
request before it does anything; from then on each part is asked by itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import TypeVar

from redis.exceptions import ClusterCrossSlotError

from app.stores.redis.connection import Argument, Connection
from app.stores.redis.layout import partition_tag
from app.stores.redis.wires import Reply

T = TypeVar("T")
TAGS = tuple(partition_tag(f"{number:02x}") for number in range(256))
"""What the names in each partition begin with."""

Question = tuple[str, Sequence[str], Sequence[Argument]]
"""A script, one key of each partition, and the arguments. It gives one list, of what it found in all of them."""


class Partitions:
    """Asks all partitions, in as few requests as the server allows."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection
        self._together = True

    async def either(self, together: Callable[[], Awaitable[T]], apart: Callable[[], Awaitable[T]]) -> T:
        """Gives what `together` gives, which spans hash tags; or what `apart` gives, if that is refused."""
        if self._together:
            try:
                return await together()
            except ClusterCrossSlotError:
                self._together = False
        return await apart()

    async def ask(self, *questions: Question) -> list[list[Reply]]:
        """Gives each question's answers: one, or one of each partition."""
        return await self.either(lambda: self._ask_at_once(questions), lambda: self._ask_each(questions))

    async def _ask_at_once(self, questions: Sequence[Question]) -> list[list[Reply]]:
        return [[reply] for reply in await self._redis.many(questions)]

    async def _ask_each(self, questions: Sequence[Question]) -> list[list[Reply]]:
        calls = [(script, (key,), args) for script, keys, args in questions for key in keys]
        replies = iter(await self._redis.many(calls))
        return [[next(replies) for _ in keys] for _, keys, _ in questions]

    async def values(self, names: Sequence[str]) -> list[bytes | None]:
        """Gives what is stored under those names."""
        if not names:
            return []
        return await self.either(
            lambda: self._redis.command("MGET", *names), lambda: self._redis.commands([("GET", name) for name in names])
        )


def joined(answers: Sequence[Sequence[Reply]]) -> list[Reply]:
    """Gives the answers to one question as one list."""
    return list(chain.from_iterable(answers))
