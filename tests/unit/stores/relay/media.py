"""What relays in tests are connected by: a Redis, a Postgres, or the air of this process; and replicas on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Protocol

from msgspec import Struct

from app.core.clock import Clock, SystemClock
from app.core.ids import Incarnation
from app.core.keys import SessionKey
from app.stores.postgres.database import open_database
from app.stores.postgres.notify import PostgresParcels, PostgresWire
from app.stores.redis.connection import Connection, open_client
from app.stores.redis.pubsub import RedisWire
from app.stores.relay.bus import RelayBus
from app.stores.relay.letters import address_of
from app.stores.relay.wire import Parcels, Post, Terms, Wire
from tests.support.services.postgres import PostgresDatabase, postgres
from tests.support.services.redis import RedisServer, shared_server

SECONDS = 5.0
"""What anything may take."""


async def until(condition: Callable[[], bool]) -> None:
    """Returns once it holds; it is looked at again and again, for what changes it has no event."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


class Counted:
    """A wire that remembers what was sent over it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.open = wire.open
        self.posts: list[Post] = []
        self.times: list[float] = []

    @property
    def terms(self) -> Terms:
        return self.wire.terms

    async def send(self, posts: Sequence[Post]) -> None:
        self.posts += posts
        self.times += [asyncio.get_running_loop().time()] * len(posts)
        await self.wire.send(posts)


class Replica(Struct):
    """A bus and the wire below it."""

    bus: RelayBus
    wire: Counted
    name: Incarnation

    async def knows(self, key: SessionKey, follower: "Replica") -> None:
        """Returns once this replica has heard that the other one follows the session."""
        await until(lambda: follower.name in self.bus.interest.of(address_of(key)))


class Medium(Protocol):
    """What wires are made of."""

    def wire(self, name: Incarnation) -> Wire:
        """Gives a new replica's wire."""
        ...

    @property
    def parcels(self) -> Parcels | None:
        """Gives where parcels are left."""
        ...

    def cut(self) -> None:
        """The server has closed the connections over which wires listen."""
        ...


class Air:
    """Carries payloads within this process; nothing is lost unless a test wants it."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms(limit=64 * 1024, pace=0.001, parts=16)
        self.parcels: Parcels | None = None
        self.listeners: dict[Incarnation, Callable[[bytes], None]] = {}
        self.reconnects: dict[Incarnation, Callable[[], None]] = {}
        self.loses: Callable[[Post], bool] = lambda _: False

    def wire(self, name: Incarnation) -> "AirWire":
        return AirWire(self, name)

    def cut(self) -> None:
        raise NotImplementedError

    def carry(self, post: Post) -> None:
        for name, deliver in self.listeners.items():
            if post.to in {None, name} and not self.loses(post):
                deliver(post.payload)


class AirWire:
    """A wire through the air."""

    def __init__(self, air: Air, name: Incarnation) -> None:
        self._air = air
        self._name = name

    @property
    def terms(self) -> Terms:
        return self._air.terms

    @asynccontextmanager
    async def open(
        self, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> AsyncGenerator[None, None]:
        self._air.listeners[self._name] = deliver
        self._air.reconnects[self._name] = on_reconnect
        try:
            yield
        finally:
            self._air.listeners.pop(self._name, None)

    async def send(self, posts: Sequence[Post]) -> None:
        await asyncio.sleep(0)
        for post in posts:
            self._air.carry(post)


class RedisMedium:
    """A database of a Redis, whatever its topology."""

    parcels: Parcels | None = None

    def __init__(self, connection: Connection, db: int = 0, server: RedisServer | None = None) -> None:
        self.connection = connection
        self.db = db
        self._server = server

    def wire(self, name: Incarnation) -> RedisWire:
        return RedisWire(self.connection, name, self.db, SystemClock())

    def cut(self) -> None:
        assert self._server is not None
        self._server.ask("CLIENT", "KILL", "TYPE", "pubsub")


class PostgresMedium:
    """A database of the Postgres that this process's tests share."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.parcels: Parcels | None = None

    async def open(self, stack: AsyncExitStack) -> "PostgresMedium":
        self.parcels = PostgresParcels(await stack.enter_async_context(open_database(self.database.url, pool=2)))
        return self

    def wire(self, name: Incarnation) -> PostgresWire:
        return PostgresWire(self.database.url, name, SystemClock())

    def cut(self) -> None:
        self.database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'baton bus' AND datname = current_database()"
        )


class Relays:
    """Starts replicas on one medium."""

    def __init__(self, medium: Medium, stack: AsyncExitStack) -> None:
        self.medium = medium
        self._stack = stack
        self._numbers = count(1)

    async def start(self, clock: Clock | None = None) -> Replica:
        """Gives a new replica; it runs until the test ends."""
        name = Incarnation(f"replica{next(self._numbers)}")
        wire = Counted(self.medium.wire(name))
        bus = RelayBus(wire, name, clock or SystemClock(), self.medium.parcels)
        await self._stack.enter_async_context(bus.running())
        return Replica(bus, wire, name)


async def open_medium(name: str, stack: AsyncExitStack) -> Medium:
    """Gives the medium of that name."""
    match name:
        case "air":
            return Air()
        case "redis":
            return await redis_medium(shared_server(), stack)
        case _:
            return await PostgresMedium(postgres().database()).open(stack)


async def redis_medium(server: RedisServer, stack: AsyncExitStack) -> RedisMedium:
    """Gives a database of that server that nobody used before."""
    db = server.fresh()
    return RedisMedium(await stack.enter_async_context(open_client(server.url(db))), db, server)
