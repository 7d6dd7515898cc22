"""One process per database file: a lock that the kernel releases when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.core.errors import ConfigError


@contextmanager
def locked(database: Path) -> Generator[None]:
    """Nobody else can open the database until this ends. Raises ConfigError, naming the process that has it open."""
    with _opened(database) as file:
        _lock(file, database)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _opened(database: Path) -> IO[str]:
    try:
        return database.with_name(f"{database.name}.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"BATON_STORE_URL: {database} cannot be opened ({error.strerror}); mend the path") from error


def _lock(file: IO[str], database: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise ConfigError(
            f"BATON_STORE_URL: {database} is in use by process {holder}; stop it, or choose another file"
        ) from error
