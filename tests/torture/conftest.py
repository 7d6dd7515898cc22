"""The stores that are tortured, each with how many replicas may share it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support.services import postgres, redis


class Shared(Struct, frozen=True, kw_only=True):
    """A store: the variables that name it, and how many replicas it serves."""

    variables: dict[str, str]
    replicas: int = 3
    cut: Callable[[], None] = lambda: None
    """Kills every connection of the replicas to the store."""


def sqlite(home: Path) -> Shared:
    """Gives the embedded store: one replica only."""
    return Shared(variables={"BATON_STORE_URL": f"sqlite:///{home}/baton.db"}, replicas=1)


def redis_alone(_: Path) -> Shared:
    """Gives a database of a Redis."""
    server = redis.shared_server()
    return Shared(variables={"BATON_STORE_URL": server.url(server.fresh())}, cut=_cutting(server))


def postgres_alone(_: Path) -> Shared:
    """Gives a database of a Postgres, which carries the bus as well."""
    database = postgres.postgres().database()
    return Shared(variables={"BATON_STORE_URL": database.url}, cut=_terminating(database))


def postgres_and_redis(_: Path) -> Shared:
    """Gives a database of a Postgres, and a Redis as its bus."""
    database, bus = postgres.postgres().database(), redis.shared_server()
    kill, terminate = _cutting(bus), _terminating(database)

    def cut() -> None:
        kill()
        terminate()

    variables = {"BATON_STORE_URL": database.url, "BATON_BUS_URL": bus.url(bus.fresh())}
    return Shared(variables=variables, cut=cut)


def _cutting(server: redis.RedisServer) -> Callable[[], None]:
    def cut() -> None:
        for kind in ("normal", "pubsub"):
            server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    return cut


def _terminating(database: postgres.PostgresDatabase) -> Callable[[], None]:
    def terminate() -> None:
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )

    return terminate


UNRELIABLE = pytest.mark.xfail(
    reason="over NOTIFY a follower sometimes misses an item's last delta, or a record; it is not yet understood why",
    strict=False,
)
"""A known fault, seen in most runs on Postgres alone and in none on a Redis bus."""

STORES = {make.__name__: make for make in (sqlite, redis_alone, postgres_alone, postgres_and_redis)}
SHARED = tuple(name for name in STORES if name != "sqlite")


def with_known_fault(names: Iterable[str]) -> list[Any]:
    """Gives the stores' names as parameters, one of them under its mark."""
    return [pytest.param(name, marks=UNRELIABLE) if name == "postgres_alone" else name for name in names]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    """Gives the store that the test is parametrised with."""
    return STORES[request.param](tmp_path)
