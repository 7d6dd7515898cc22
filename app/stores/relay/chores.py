"""Chores: tasks that go on as long as a block of code; its own error passes through as it is."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class Chores:
    """Started inside the block, cancelled at its end. One that fails ends the block, as in a TaskGroup."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in tuple(self._running):
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def start(self, chore: Coroutine[Any, Any, None]) -> None:
        """The chore is under way."""
        task = self._group.create_task(chore)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
