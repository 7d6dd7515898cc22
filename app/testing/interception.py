"""Puts something around every call of a port, whichever port it is."""

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypeVar, cast

P = TypeVar("P")


class Around(Protocol):
    """What happens instead of a port's call; `call` makes the call itself, each time it is called."""

    async def __call__(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Gives the call's result, or another end to it."""
        ...


def intercepted(port: P, name: str, around: Around) -> P:
    """Gives the port with `around` in place of each of its coroutine methods; all else is the port's own."""
    return cast("P", _Intercepted(port, name, around))


class _Intercepted:
    def __init__(self, port: object, name: str, around: Around) -> None:
        self._port = port
        self._name = name
        self._around = around

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if not iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._around(self._name, method, partial(found, *args, **kwargs))

        return call
