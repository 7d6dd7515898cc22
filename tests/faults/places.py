"""Where stores are: a real Redis or Postgres, reached straight or through a proxy, to be killed and set back."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from msgspec.structs import replace

from app.core.clock import SystemClock
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.postgres.database import open_database
from app.stores.postgres.runs import PostgresRuns
from app.stores.postgres.sessions import PostgresSessions
from app.stores.postgres.stores import open_postgres
from app.stores.redis.clock import stamp
from app.stores.redis.connection import open_client
from app.stores.redis.runs import RedisRuns
from app.stores.redis.sessions import RedisSessions
from app.stores.redis.stores import open_redis
from tests.faults.speech import PostgresSpeech, RedisSpeech
from tests.support.proxy import Speech
from tests.support.services.postgres import PostgresServer, postgres
from tests.support.services.redis import RedisServer, shared_server


class Place(Protocol):
    """A database of one server's."""

    @property
    def port(self) -> int:
        """Gives the server's port."""
        ...

    @property
    def speech(self) -> Callable[[], Speech]:
        """Gives how its clients speak."""
        ...

    def url(self, port: int | None = None) -> str:
        """Gives its address, or one that leads through another port."""
        ...

    def open(self, port: int | None = None, *, pool: int = 16) -> AbstractAsyncContextManager[Stores]:
        """Gives its stores, reached through that port, over so many connections at the most."""
        ...

    def rerouted(self, stores: Stores, port: int) -> AbstractAsyncContextManager[Stores]:
        """Gives the stores, of which sessions and runs, and only they, are reached through that port."""
        ...


class RedisPlace:
    """A database that nobody used before."""

    speech = RedisSpeech

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.number = server.fresh()

    @property
    def port(self) -> int:
        return self.server.port

    def url(self, port: int | None = None) -> str:
        return f"redis://127.0.0.1:{port or self.port}/{self.number}"

    def open(self, port: int | None = None, *, pool: int = 16) -> AbstractAsyncContextManager[Stores]:
        return open_redis(self.url(port), SystemClock(), pool=pool)

    @asynccontextmanager
    async def rerouted(self, stores: Stores, port: int) -> AsyncGenerator[Stores, None]:
        async with open_client(self.url(port), check=False) as connection:
            sessions = RedisSessions(connection, SystemClock(), stamp(None))
            yield replace(stores, sessions=sessions, runs=RedisRuns(connection))


class PostgresPlace:
    """A new database with the newest schema."""

    speech = PostgresSpeech

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.database = server.database()

    @property
    def port(self) -> int:
        return self.server.port

    def url(self, port: int | None = None) -> str:
        return self.database.url.replace(f":{self.port}/", f":{port or self.port}/")

    def open(self, port: int | None = None, *, pool: int = 16) -> AbstractAsyncContextManager[Stores]:
        return open_postgres(self.url(port), SystemClock(), pool=pool)

    @asynccontextmanager
    async def rerouted(self, stores: Stores, port: int) -> AsyncGenerator[Stores, None]:
        async with open_database(self.url(port), pool=1) as database:
            sessions = PostgresSessions(database, SystemClock(), FOLD_VERSION, lambda: None)
            yield replace(stores, sessions=sessions, runs=PostgresRuns(database))


def shared_redis() -> Place:
    """Gives a place on the Redis that this process's tests share; it is not to be broken."""
    return RedisPlace(shared_server())


def shared_postgres() -> Place:
    """Gives a place on the Postgres that this process's tests share; it is not to be broken."""
    return PostgresPlace(postgres())
