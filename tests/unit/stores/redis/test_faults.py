import pytest
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    DataError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostConnection

from app.core.errors import StoreUnavailable
from app.stores.redis.faults import translate


@pytest.mark.parametrize(
    "error",
    [
        LostConnection("Connection closed by server."),
        BusyLoadingError("Redis is loading the dataset in memory", status_code="LOADING"),
        AuthenticationError("invalid username-password pair", status_code="WRONGPASS"),
        ReadOnlyError("You can't write against a read only replica.", status_code="READONLY"),
        ClusterDownError("The cluster is down", status_code="CLUSTERDOWN"),
        MasterDownError("Link with MASTER is down", status_code="MASTERDOWN"),
        TryAgainError("Multiple keys request during rehashing of slot", status_code="TRYAGAIN"),
        AskError("1 127.0.0.1:1", status_code="ASK"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'.", status_code="OOM"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk."),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("BUSY Redis is busy running a script."),
        ConnectionRefusedError(111, "refused"),
    ],
)
def test_what_passes_is_unavailability(error: Exception) -> None:
    translated = translate(error)
    assert isinstance(translated, StoreUnavailable)
    assert str(error) in str(translated)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("ERR user_script:3: attempt to index a nil value script: 8f…, on @user_script:3."),
        ClusterCrossSlotError("Keys in request don't hash to the same slot", status_code="CROSSSLOT"),
        NoPermissionError("this user has no permissions", status_code="NOPERM"),
        DataError("Invalid input of type: 'dict'."),
        ValueError("x"),
    ],
)
def test_a_bug_stays_what_it_is(error: Exception) -> None:
    assert translate(error) is error
