"""The Redis backend, opened: one server, a cluster, or the primary that sentinels watch, as the URL says."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from app.core.clock import Clock, SystemClock
from app.core.ids import Ids, Incarnation, RandomIds
from app.core.state import FOLD_VERSION
from app.observability.connections import PoolFigures, RelayFigures
from app.stores.base import Replicas
from app.stores.bundle import Stores
from app.stores.redis.addresses import parse
from app.stores.redis.blobs import RedisBlobs
from app.stores.redis.clock import Stamp, stamp
from app.stores.redis.connection import POOL, WAIT_SECONDS, Connection, open_client
from app.stores.redis.heads import RedisHeads
from app.stores.redis.keyvalue import RedisKeyValue
from app.stores.redis.partitions import Partitions
from app.stores.redis.pubsub import RedisWire
from app.stores.redis.replicas import RedisReplicas
from app.stores.redis.runs import RedisRuns
from app.stores.redis.sessions import RedisSessions
from app.stores.relay.bus import RelayBus


@asynccontextmanager
async def open_redis(
    url: str,
    clock: Clock,
    *,
    now: Callable[[], float] | None = None,
    fold_version: int = FOLD_VERSION,
    pool: int = POOL,
    wait: float = WAIT_SECONDS,
    ids: Ids | None = None,
) -> AsyncGenerator[Stores, None]:
    """Gives stores over that Redis. Raises ConfigError if it cannot be used.

    `now` (seconds since the epoch) replaces the server's own clock, in tests. `pool` calls run at once; one more waits
    for `wait` seconds, then raises StoreUnavailable.
    """
    told = stamp(now)

    def pulse() -> AbstractAsyncContextManager[Replicas]:
        return open_pulse(url, told)

    async with open_client(url, pool=pool, wait=wait) as connection, _relay(url, connection, ids) as bus:
        yield Stores(
            sessions=RedisSessions(connection, clock, told, fold_version),
            runs=RedisRuns(connection),
            heads=RedisHeads(Partitions(connection)),
            replicas=RedisReplicas(connection, told),
            keyvalue=RedisKeyValue(connection),
            blobs=RedisBlobs(connection, told),
            bus=bus,
            pulse=pulse,
            sources=(PoolFigures("redis", connection), RelayFigures("redis", bus)),
        )


@asynccontextmanager
async def open_bus(url: str, ids: Ids | None = None) -> AsyncGenerator[RelayBus, None]:
    """Gives a bus over that Redis, for a store that is elsewhere. Raises ConfigError if it cannot be used."""
    async with open_client(url, variable="BATON_BUS_URL") as connection, _relay(url, connection, ids) as bus:
        yield bus


@asynccontextmanager
async def _relay(url: str, connection: Connection, ids: Ids | None) -> AsyncGenerator[RelayBus, None]:
    """Gives the bus, under an address of this process: incarnations come and go. The wire's pauses are real time."""
    me, clock = Incarnation((ids or RandomIds()).token()), SystemClock()
    bus = RelayBus(RedisWire(connection, me, parse(url).db, clock), me, clock)
    async with bus.running():
        yield bus


@asynccontextmanager
async def open_pulse(url: str, told: Stamp) -> AsyncGenerator[Replicas, None]:
    """Gives a heartbeat's own connection, in the event loop that asks for it."""
    async with open_client(url, pool=1, check=False) as connection:
        yield RedisReplicas(connection, told)
