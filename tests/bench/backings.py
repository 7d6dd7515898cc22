"""The stores under measurement: real servers on the load's core, as durable as they are meant to be run."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager

import pytest
from msgspec import Struct

from tests.bench.processes import LOAD_CORE, on_core
from tests.support.services import postgres, redis

STORES = ("sqlite", "redis", "postgres", "postgres+redis")
USUAL = ("sqlite", "redis", "postgres")
ABSENT = (pytest.skip.Exception, pytest.fail.Exception)
"""How a test says that a program is not there."""
STORE, BUS = "BATON_STORE_URL", "BATON_BUS_URL"

Variables = Mapping[str, str]


class Backing(Struct, frozen=True):
    """A kind of store. `fresh` gives the variables that lead a server to one which nobody used before."""

    name: str
    fresh: Callable[[], Variables]

    @property
    def is_remote(self) -> bool:
        """Says whether Baton talks to it over a socket."""
        return self.name != "sqlite"


EMBEDDED = Backing("sqlite", dict)
"""SQLite in the server's own directory, `synchronous=FULL`."""


@contextmanager
def backing(name: str) -> Generator[Backing, None, None]:
    """Gives a store whose servers run while the body does. Where they cannot, the test is skipped or fails: ABSENT."""
    with ExitStack() as stack:
        with on_core(LOAD_CORE):
            found = _started(name, stack)
        yield found


def _started(name: str, stack: ExitStack) -> Backing:
    match name:
        case "sqlite":
            return EMBEDDED
        case "redis":
            server = _redis(stack)
            return Backing(name, lambda: {STORE: server.url(server.fresh())})
        case "postgres":
            database = _postgres(stack)
            return Backing(name, lambda: {STORE: database.database().url})
        case "postgres+redis":
            database, bus = _postgres(stack), _redis(stack)
            return Backing(name, lambda: {STORE: database.database().url, BUS: bus.url(bus.fresh())})
        case _:
            raise ValueError(f"no such store: {name}")


def _redis(stack: ExitStack) -> redis.RedisServer:
    return stack.enter_context(redis.running(**redis.DURABLE))


def _postgres(stack: ExitStack) -> postgres.PostgresServer:
    server = stack.enter_context(postgres.running(durable=True))
    _ = server.template  # migrated once, before anything is measured
    return server
