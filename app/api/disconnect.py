"""Waiting for as long as the client does."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Gives what the work gives, or raises what it raises.

    If the client leaves first, the work is cancelled and ClientDisconnect raised. The request's body must have been
    read, or be of no interest.
    """
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_departure(receive))
            # The work is a task of its own: a task's every wake-up goes through all that it awaits, down to the server.
            worker = group.create_task(work)
            worker.add_done_callback(lambda _: watcher.cancel())
        return worker.result()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect
