"""Interrupting a runner: a cancel, a drain or a deadline cuts a wait short, and never a write."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Interrupt:
    """A runner waits inside a window; `fire` ends the window, now or as soon as there is one."""

    def __init__(self) -> None:
        self._fired = False
        self._window: asyncio.Timeout | None = None

    @asynccontextmanager
    async def window(self, seconds: float) -> AsyncGenerator[None, None]:
        """Lets the body wait that long. Raises TimeoutError at the deadline, or when fired."""
        async with asyncio.timeout(0 if self._fired else max(0.0, seconds)) as window:
            self._window = window
            try:
                yield
            finally:
                self._window = None

    def fire(self) -> None:
        """The open window ends, or the next one ends at once."""
        self._fired = True
        if self._window is not None and not self._window.expired():
            self._window.reschedule(asyncio.get_running_loop().time())

    def clear(self) -> None:
        """What was fired has been dealt with."""
        self._fired = False
