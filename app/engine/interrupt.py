"""Interrupting a runner: a cancel, a drain or a deadline cuts a wait short, and never a write."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


def is_cancelled() -> bool:
    """Says whether a CancelledError is this task's own; one that came out of what it awaits is an error like others."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Interrupted(Exception):
    """A window ended before its body did: it was fired, or its time was over."""


class Interrupt:
    """A runner waits inside a window; `fire` ends the window, now or as soon as there is one."""

    def __init__(self) -> None:
        self._fired = False
        self._window: asyncio.Timeout | None = None

    @asynccontextmanager
    async def window(self, seconds: float) -> AsyncGenerator[None, None]:
        """Lets the body wait that long. Raises Interrupted at the deadline, or when fired."""
        window = asyncio.timeout(0 if self._fired else max(0.0, seconds))
        try:
            async with window:
                self._window = window
                yield
        except TimeoutError:
            if not window.expired():
                raise
            raise Interrupted from None
        finally:
            self._window = None

    @property
    def is_fired(self) -> bool:
        """Says whether something was fired that nobody has dealt with."""
        return self._fired

    def fire(self) -> None:
        """The open window ends, or the next one ends at once."""
        self._fired = True
        if self._window is not None and not self._window.expired():
            self._window.reschedule(asyncio.get_running_loop().time())

    def clear(self) -> None:
        """What was fired has been dealt with."""
        self._fired = False
