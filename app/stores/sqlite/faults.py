"""What SQLite raises, in Baton's words."""

import sqlite3

from app.core.errors import StoreCorrupt, StoreUnavailable

_UNREADABLE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def translate(error: Exception) -> Exception:
    """Gives the error to raise instead: a broken file, a store that cannot serve now, or, for a bug, the same error."""
    if not isinstance(error, sqlite3.Error):
        return error
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary in _UNREADABLE:
        return StoreCorrupt(f"the SQLite file cannot be read: {error}")
    if isinstance(error, sqlite3.OperationalError):
        return StoreUnavailable(f"SQLite: {error}")
    return error
