"""The Redis backends for the contract suite: one server, and a cluster, which all tests of a process share."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import cache
from typing import Any
from weakref import finalize

from redis import Redis, RedisCluster

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.redis.layout import layout
from app.stores.redis.stores import open_redis
from tests.contracts.backend import GARBAGE, Footprint
from tests.support.services.redis import (
    RedisSentinels,
    RedisServer,
    running_cluster,
    running_sentinels,
    shared_server,
)


class _AnyRedis(ABC):
    """What there is to see is seen by redis-py's own client."""

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._here = client

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        return open_redis(self._url, clock, now=lambda: clock.now().timestamp(), fold_version=fold_version)

    @abstractmethod
    def mark(self) -> None: ...

    @abstractmethod
    def rewind(self) -> None: ...

    def footprint(self, key: SessionKey) -> Footprint:
        _, log, checkpoints, requests, _, runs, blobs, *_ = layout(key).keys
        return Footprint(
            tuple(self._here.lrange(log, 0, -1)),
            tuple(sorted(int(place.partition(b":")[0]) for place in self._here.hkeys(checkpoints))),
            self._here.hlen(requests),
            max(0, self._here.hlen(runs) - 1),  # beside the rows is whose they are
            self._here.scard(blobs),
        )

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        log = layout(key).keys[1]
        self._here.lset(log, seq - 1, GARBAGE if body is None else body)
        if body is None:
            self._here.lrem(log, 1, GARBAGE)

    def spoil_checkpoints(self, key: SessionKey) -> None:
        checkpoints = layout(key).keys[2]
        for place in self._here.hkeys(checkpoints):
            self._here.hset(checkpoints, place, GARBAGE)


class RedisBackend(_AnyRedis):
    """Two databases that nobody else uses: one for what is stored, one for what a rewind goes back to."""

    name = "redis"

    def __init__(self) -> None:
        server = self.server()
        self._numbers = (server.fresh(), server.fresh())
        clients: list[Any] = [Redis(port=server.port, db=number) for number in self._numbers]
        super().__init__(self.url(self._numbers[0]), clients[0])
        self._marked = clients[1]
        for client in clients:
            client.flushdb()
            finalize(self, _leave, client).atexit = False  # the server goes first then

    def server(self) -> RedisServer:
        """Gives where everything is."""
        return shared_server()

    def url(self, database: int) -> str:
        """Gives the address that Baton takes."""
        return self.server().url(database)

    def mark(self) -> None:
        _copy(self._here, self._marked, self._numbers[1])

    def rewind(self) -> None:
        _copy(self._marked, self._here, self._numbers[0])


class RedisSentinelBackend(RedisBackend):
    """The primary that a sentinel watches, with a replica."""

    name = "redis-sentinel"

    def server(self) -> RedisServer:
        return _shared_sentinels().data[0]

    def url(self, database: int) -> str:
        return f"{_shared_sentinels().url}/{database}"


class RedisClusterBackend(_AnyRedis):
    """A cluster of three, emptied for whoever comes; a rewind goes back to what is kept here."""

    name = "redis-cluster"

    def __init__(self) -> None:
        self._nodes = _nodes()
        self._marked: dict[bytes, bytes] = {}
        super().__init__(_shared_cluster().url, _cluster_client())
        self._empty()

    def _empty(self) -> None:
        for node in self._nodes:
            node.flushall()

    def mark(self) -> None:
        self._marked = {name: node.dump(name) for node in self._nodes for name in node.scan_iter(count=1000)}

    def rewind(self) -> None:
        self._empty()
        for name, dumped in self._marked.items():
            self._here.restore(name, 0, dumped)


@cache
def _shared_cluster() -> Any:
    stack = ExitStack()
    finalize(_shared_cluster, stack.close)
    return stack.enter_context(running_cluster())


@cache
def _shared_sentinels() -> RedisSentinels:
    stack = ExitStack()
    finalize(_shared_sentinels, stack.close)
    return stack.enter_context(running_sentinels())


@cache
def _cluster_client() -> Any:
    return RedisCluster(host="127.0.0.1", port=_shared_cluster().nodes[0].port)


@cache
def _nodes() -> list[Any]:
    return [Redis(port=node.port) for node in _shared_cluster().nodes]


def _copy(source: Any, target: Any, number: int) -> None:
    """The target, which is the database of that number, holds what the source holds, and nothing else."""
    target.flushdb()
    with source.pipeline(transaction=False) as pipeline:
        for name in source.scan_iter(count=1000):
            pipeline.execute_command("COPY", name, name, "DB", number)
        pipeline.execute()


def _leave(client: Any) -> None:
    client.flushdb()
    client.close()
