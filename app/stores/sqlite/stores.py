"""The SQLite backend, opened: the embedded default. Its bus is the memory backend's, for there is only one process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.clock import Clock
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.embedded.sessions import EmbeddedHeads, EmbeddedRuns, EmbeddedSessions
from app.stores.memory.bus import MemoryBus
from app.stores.sqlite.blobs import SqliteBlobs
from app.stores.sqlite.database import open_database
from app.stores.sqlite.keyvalue import SqliteKeyValue
from app.stores.sqlite.replicas import SqliteReplicas
from app.stores.sqlite.sessions import SqliteTransactions


@asynccontextmanager
async def open_sqlite(path: Path, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AsyncGenerator[Stores, None]:
    """Gives stores over that file, which is made if it is absent. Raises ConfigError if another process uses it."""
    async with open_database(path) as database:
        transactions = SqliteTransactions(database)
        replicas = SqliteReplicas(database, clock)
        await replicas.prune()
        yield Stores(
            sessions=EmbeddedSessions(transactions, clock, fold_version),
            runs=EmbeddedRuns(transactions),
            heads=EmbeddedHeads(transactions),
            replicas=replicas,
            keyvalue=SqliteKeyValue(database),
            blobs=SqliteBlobs(database, clock),
            bus=MemoryBus(),
        )
