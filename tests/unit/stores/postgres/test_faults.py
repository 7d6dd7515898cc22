"""Every error of the driver has a meaning for the callers, who do not know it."""

import asyncpg
import pytest
from asyncpg import exceptions

from app.core.errors import BatonError, InvalidInput, StoreCorrupt, StoreUnavailable
from app.stores.postgres.faults import translate


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (exceptions.ConnectionDoesNotExistError("x"), StoreUnavailable),
        (exceptions.AdminShutdownError("x"), StoreUnavailable),
        (exceptions.CannotConnectNowError("x"), StoreUnavailable),
        (exceptions.TooManyConnectionsError("x"), StoreUnavailable),
        (exceptions.DiskFullError("x"), StoreUnavailable),
        (exceptions.ReadOnlySQLTransactionError("x"), StoreUnavailable),
        (exceptions.QueryCanceledError("x"), StoreUnavailable),
        (exceptions.DeadlockDetectedError("x"), StoreUnavailable),
        (exceptions.StatementCompletionUnknownError("x"), StoreUnavailable),
        (exceptions.PostgresIOError("x"), StoreUnavailable),
        (exceptions.TargetServerAttributeNotMatched("x"), StoreUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (ConnectionResetError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (exceptions.DataCorruptedError("x"), StoreCorrupt),
        (exceptions.IndexCorruptedError("x"), StoreCorrupt),
        (exceptions.CharacterNotInRepertoireError("x"), InvalidInput),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_an_error_is_translated(error: Exception, meaning: type[BatonError]) -> None:
    assert type(translate(error)) is meaning


@pytest.mark.parametrize("bug", [exceptions.UndefinedFunctionError("x"), exceptions.DataError("x"), KeyError("x")])
def test_a_bug_stays_what_it_is(bug: Exception) -> None:
    assert translate(bug) is bug


def test_what_is_stored_is_not_quoted() -> None:
    error = exceptions.DiskFullError("no space")
    error.detail = "Failing row contains (secret)."
    assert "secret" not in str(translate(error))
