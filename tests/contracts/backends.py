"""The backends that the contract suite and the state machine run over. A new one joins here, from a file of its own."""

from tests.contracts.backend import GARBAGE, Backend, Footprint
from tests.contracts.backend_memory import MemoryBackend
from tests.contracts.backend_postgres import PostgresBackend
from tests.contracts.backend_redis import RedisBackend, RedisClusterBackend
from tests.contracts.backend_sqlite import SqliteBackend

__all__ = [
    "BACKENDS",
    "GARBAGE",
    "Backend",
    "Footprint",
    "MemoryBackend",
    "PostgresBackend",
    "RedisBackend",
    "RedisClusterBackend",
    "SqliteBackend",
]

BACKENDS: tuple[type[Backend], ...] = (
    MemoryBackend,
    SqliteBackend,
    RedisBackend,
    RedisClusterBackend,
    PostgresBackend,
)
"""Every contract test runs once per backend."""
