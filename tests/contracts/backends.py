"""The backends that the contract suite and the state machine run over. A new one joins here, from a file of its own."""

from tests.contracts.backend import GARBAGE, Backend, Footprint
from tests.contracts.backend_memory import MemoryBackend
from tests.contracts.backend_postgres import PooledPostgresBackend, PostgresBackend
from tests.contracts.backend_redis import RedisBackend, RedisClusterBackend, RedisSentinelBackend
from tests.contracts.backend_sqlite import SqliteBackend

__all__ = [
    "BACKENDS",
    "DETOURS",
    "GARBAGE",
    "Backend",
    "Footprint",
    "MemoryBackend",
    "PooledPostgresBackend",
    "PostgresBackend",
    "RedisBackend",
    "RedisClusterBackend",
    "RedisSentinelBackend",
    "SqliteBackend",
]

BACKENDS: tuple[type[Backend], ...] = (
    MemoryBackend,
    SqliteBackend,
    RedisBackend,
    RedisClusterBackend,
    PostgresBackend,
)
DETOURS: tuple[type[Backend], ...] = (RedisSentinelBackend, PooledPostgresBackend)
"""Other ways to the same stores. Every contract test runs once per backend and per detour, the state machine not."""
