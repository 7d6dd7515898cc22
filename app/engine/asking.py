"""Asking: what a session's owner shows at this moment, asked once for all who want to know it at the same time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.stores.bus import OpenItems

log = logging.getLogger(__name__)

Put = Callable[[SessionKey], Awaitable[OpenItems | None]]
"""Asks the owner of a session; gives None when nobody answers in time."""


class Asking:
    """Of each session at most one question is on its way; who comes meanwhile shares the one after it.

    So an answer is never older than the call that gets it, and a thousand followers that come at once cost two.
    """

    def __init__(self, put: Put, tasks: Tasks) -> None:
        self._put = put
        self._tasks = tasks
        self._newest: dict[SessionKey, _Question] = {}

    async def ask(self, key: SessionKey) -> OpenItems | None:
        """Gives the owner's open items as of a moment after this call, or None when nobody answers in time."""
        newest = self._newest.get(key)
        if newest is None or newest.is_sent:
            newest = self._newest[key] = _Question(newest)
            self._tasks.start(self._settle(key, newest))
        await newest.settled.wait()
        return newest.answer

    async def _settle(self, key: SessionKey, question: "_Question") -> None:
        try:
            if question.before is not None:
                await question.before.settled.wait()
                question.before = None
            question.is_sent = True
            question.answer = await self._put(key)
        except Exception:
            log.exception("could not ask the owner of %s what it shows", key.encode())
        finally:
            question.settled.set()
            if self._newest.get(key) is question:
                del self._newest[key]


class _Question:
    """One question, and those who wait for its answer."""

    def __init__(self, before: "_Question | None") -> None:
        self.before = before
        self.is_sent = False
        self.answer: OpenItems | None = None
        self.settled = asyncio.Event()
