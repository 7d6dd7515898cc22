"""What Postgres and its driver raise, in Baton's words. A message never repeats an address: it may hold a password."""

from asyncpg import (
    CantChangeRuntimeParamError,
    CharacterNotInRepertoireError,
    DataCorruptedError,
    DeadlockDetectedError,
    DuplicatePreparedStatementError,
    IndexCorruptedError,
    InsufficientPrivilegeError,
    InterfaceError,
    InternalClientError,
    InvalidAuthorizationSpecificationError,
    InvalidCatalogNameError,
    InvalidParameterValueError,
    InvalidSchemaNameError,
    InvalidSQLStatementNameError,
    PostgresError,
    ReadOnlySQLTransactionError,
    SerializationError,
    UndefinedObjectError,
    UndefinedTableError,
)
from asyncpg.exceptions import (
    InsufficientResourcesError,
    OperatorInterventionError,
    PostgresConnectionError,
    PostgresSystemError,
    TransactionRollbackError,
)

from app.core.errors import BatonError, ConfigError, InvalidInput, StoreCorrupt, StoreUnavailable

REFUSED = (
    InvalidAuthorizationSpecificationError,
    InvalidCatalogNameError,
    InsufficientPrivilegeError,
    UndefinedObjectError,
    InvalidParameterValueError,
    CantChangeRuntimeParamError,
    ValueError,
)
"""The address itself is wrong: another attempt would fare no better."""

UNDONE = (DeadlockDetectedError, SerializationError)
"""Two transactions were in each other's way, and this one was undone as a whole."""

POOLED = (DuplicatePreparedStatementError, InvalidSQLStatementNameError)
"""Somebody puts the statements of one connection on several: a transaction pooler."""

UNMIGRATED = (InvalidSchemaNameError, UndefinedTableError)
"""There is no Baton in the database."""

FOREIGN = (PostgresError, InterfaceError, InternalClientError, OSError)
"""All that the driver raises."""

_UNREADABLE = (DataCorruptedError, IndexCorruptedError)
_UNAVAILABLE = (
    PostgresConnectionError,
    OperatorInterventionError,
    InsufficientResourcesError,
    TransactionRollbackError,
    PostgresSystemError,
    ReadOnlySQLTransactionError,
    InternalClientError,
    OSError,
)


def translate(error: Exception) -> Exception:
    """Gives the error to raise instead: the store is broken, or cannot serve now; or, for a bug, the same error."""
    if isinstance(error, TimeoutError):
        return StoreUnavailable("Postgres did not answer in time")
    if isinstance(error, CharacterNotInRepertoireError):
        return InvalidInput("a name holds a character that Postgres does not store (U+0000)")
    if isinstance(error, _UNREADABLE):
        return StoreCorrupt(f"Postgres cannot read its files: {error}")
    if isinstance(error, _UNAVAILABLE) or _is_lost(error):
        return StoreUnavailable(f"Postgres: {_told(error)}")
    return error


def refusal(error: Exception, variable: str) -> BatonError | None:
    """Gives the error that stops the start if the address in that variable cannot be right, or None."""
    if not isinstance(error, REFUSED):
        return None
    reason = _told(error) if isinstance(error, PostgresError) else "it is no address that the driver understands"
    fix = "mend the address, its role, its password or its options"
    return ConfigError(f"{variable}: Postgres lets nobody in there ({reason}); {fix}")


def _is_lost(error: Exception) -> bool:
    """Says whether a connection was lost or closed under a call; other errors of the interface are bugs."""
    return isinstance(error, InterfaceError) and not isinstance(error, ValueError)


def _told(error: Exception) -> str:
    """Gives what happened: the first line only, for the others may quote what is stored."""
    if isinstance(error, OSError):
        return f"it cannot be reached ({error.strerror or type(error).__name__})"
    return str(error).partition("\n")[0]
