"""The memory backend, opened: for tests, and for a server that may forget everything."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.core.clock import Clock
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.embedded.sessions import EmbeddedHeads, EmbeddedRuns, EmbeddedSessions
from app.stores.memory.blobs import MemoryBlobs
from app.stores.memory.bus import MemoryBus
from app.stores.memory.contents import Contents
from app.stores.memory.keyvalue import MemoryKeyValue
from app.stores.memory.replicas import MemoryReplicas
from app.stores.memory.sessions import MemoryTransactions


@asynccontextmanager
async def open_memory(
    clock: Clock, *, contents: Contents | None = None, fold_version: int = FOLD_VERSION
) -> AsyncGenerator[Stores, None]:
    """Gives stores over those contents, or over new ones. Who opens the same contents again has restarted."""
    held = contents if contents is not None else Contents()
    transactions = MemoryTransactions(held)
    yield Stores(
        sessions=EmbeddedSessions(transactions, clock, fold_version),
        runs=EmbeddedRuns(transactions),
        heads=EmbeddedHeads(transactions),
        replicas=MemoryReplicas(held, clock),
        keyvalue=MemoryKeyValue(held),
        blobs=MemoryBlobs(held, clock),
        bus=MemoryBus(),
    )
