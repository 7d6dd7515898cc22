"""Locks, so that calls of one batch do not overwrite each other's edits: a file is read, changed and written as one."""

import asyncio
from weakref import WeakValueDictionary

from app.core.keys import SessionKey


class WorkspaceLocks:
    """One lock for each workspace that is being written to; it is gone when nobody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[SessionKey, asyncio.Lock] = WeakValueDictionary()

    def of(self, session: SessionKey) -> asyncio.Lock:
        """Gives the lock of the session's workspace."""
        return self._locks.setdefault(session, asyncio.Lock())
