"""What Redis and its client raise, in Baton's words."""

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 (the library's own name for it)
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from app.core.errors import StoreCorrupt, StoreUnavailable

_PASSING = (
    AskError,
    ConnectionError,
    TimeoutError,
    ClusterDownError,
    TryAgainError,
    ReadOnlyError,
    OutOfMemoryError,
    OSError,
)
_CORRUPT = "CORRUPT"
"""The code by which our scripts say that they cannot read what is stored."""
_PASSING_CODES = frozenset({"BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE"})


def translate(error: Exception) -> Exception:
    """Gives the error to raise instead: the store cannot serve now, or be read, or, for a bug, the same error."""
    if isinstance(error, AuthenticationError):
        return StoreUnavailable(f"Redis refuses the user or the password: {error}")
    if isinstance(error, _PASSING) or _code(error) in _PASSING_CODES:
        return StoreUnavailable(f"Redis: {_told(error)}")
    if _code(error) == _CORRUPT:
        return StoreCorrupt(str(error).removeprefix(f"{_CORRUPT} ").partition(" script: ")[0])
    return error


def _code(error: Exception) -> str:
    return str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""


def _told(error: Exception) -> str:
    code = getattr(error, "status_code", None) if isinstance(error, RedisError) else None
    return f"{code} {error}" if code else str(error) or type(error).__name__
