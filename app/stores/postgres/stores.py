"""The Postgres backend, opened: one database that every replica shares."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from app.core.clock import Clock, SystemClock
from app.core.ids import Ids, Incarnation, RandomIds
from app.core.state import FOLD_VERSION
from app.observability.connections import PoolFigures, RelayFigures
from app.stores.base import Replicas
from app.stores.bundle import Stores
from app.stores.postgres.blobs import PostgresBlobs
from app.stores.postgres.database import Database, Now, open_database
from app.stores.postgres.heads import PostgresHeads
from app.stores.postgres.keyvalue import PostgresKeyValue
from app.stores.postgres.notify import PostgresParcels, PostgresWire
from app.stores.postgres.replicas import PostgresReplicas
from app.stores.postgres.runs import PostgresRuns
from app.stores.postgres.schema import check, check_direct
from app.stores.postgres.sessions import PostgresSessions
from app.stores.relay.bus import RelayBus


@asynccontextmanager
async def open_postgres(
    url: str,
    clock: Clock,
    *,
    direct_url: str | None = None,
    now: Now | None = None,
    fold_version: int = FOLD_VERSION,
    pool: int = 16,
    wait: float = 5.0,
    bus: RelayBus | None = None,
    ids: Ids | None = None,
) -> AsyncGenerator[Stores, None]:
    """Gives stores over that database. With a `direct_url`, `url` may lead through a transaction pooler.

    What is live goes over `bus`, a Redis, if there is one, else over the database's own NOTIFY.

    `pool` bounds the connections, `wait` the seconds that a call waits for one. Raises ConfigError for a database that
    cannot be used as it is, StoreUnavailable for one that does not answer.
    """
    time, direct = now or _by_the_store, direct_url or url

    def pulse() -> AbstractAsyncContextManager[Replicas]:
        return open_pulse(direct, time)

    async with AsyncExitStack() as stack:
        opened = open_database(url, pool=pool, wait=wait, pooled=direct_url is not None)
        database = await stack.enter_async_context(opened)
        await check_direct(database, url, direct_url)
        await check(database)
        carrier = "postgres" if bus is None else "redis"
        if bus is None:
            bus = await stack.enter_async_context(_relay(database, direct, ids))
        yield Stores(
            sessions=PostgresSessions(database, clock, fold_version, time),
            runs=PostgresRuns(database),
            heads=PostgresHeads(database),
            replicas=PostgresReplicas(database, time),
            keyvalue=PostgresKeyValue(database),
            blobs=PostgresBlobs(database, time),
            bus=bus,
            pulse=pulse,
            sources=(PoolFigures("postgres", database), RelayFigures(carrier, bus)),
        )


@asynccontextmanager
async def _relay(database: Database, url: str, ids: Ids | None) -> AsyncGenerator[RelayBus, None]:
    """Gives the bus, under an address of this process: incarnations come and go. The wire's pauses are real time."""
    me, clock = Incarnation((ids or RandomIds()).token()), SystemClock()
    bus = RelayBus(PostgresWire(url, me, clock), me, clock, PostgresParcels(database))
    async with bus.running():
        yield bus


@asynccontextmanager
async def open_pulse(url: str, now: Now) -> AsyncGenerator[Replicas, None]:
    """Gives a heartbeat's own connection, in the event loop that asks for it. `url` leads past every pooler."""
    async with open_database(url, pool=1) as database:
        yield PostgresReplicas(database, now)


def _by_the_store() -> None:
    """The store's own clock decides."""
