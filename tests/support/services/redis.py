"""Real Redis servers for tests: one per process that all share, others of a test's own, a cluster, a sentinel set.

Each listens on the loopback and keeps its files in a folder of its own, which is gone with it.
"""

import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, cast
from weakref import finalize

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from tests.support.services.binaries import Program, binary, eventually, free_port

ATTEMPTS = 5
DATABASES = 4096
SERVICE = "baton"
VOLATILE = {"save": "", "appendonly": "no", "repl-diskless-sync-delay": "0"}
DURABLE = {"save": "", "appendonly": "yes", "appendfsync": "always"}
"""Nothing acknowledged is lost by a killed process."""
SLOTS = 16384
EMPTY = '""'
"""How a configuration file spells nothing."""


class RedisServer:
    """One server. `start` after `stop` or `kill` is a restart: the same port, what was durable."""

    program = "redis-server"

    def __init__(self, **config: str) -> None:
        self.folder = Path(mkdtemp(prefix="baton-redis-"))
        self.port = 0
        self._config = {**VOLATILE, "databases": str(DATABASES), **config}
        self._running: Program | None = None
        self._databases = count(1)
        finalize(self, rmtree, self.folder, ignore_errors=True)
        self.start()

    @property
    def place(self) -> str:
        """Gives host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Gives what it wrote."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    def url(self, database: int = 0) -> str:
        """Gives the address that Baton takes."""
        return f"redis://{self.place}/{database}"

    def fresh(self) -> int:
        """Gives the number of a database that nobody used before."""
        return next(self._databases) % DATABASES

    def start(self) -> None:
        """The server answers, all its data loaded."""
        for port in [self.port] if self.port else (free_port() for _ in range(ATTEMPTS)):
            self.port = port
            self._running = self._spawn()
            eventually(lambda: self._answers() or not self._process.running, f"no answer from {self.place}")
            if self._process.running:
                return
        raise AssertionError(f"Redis does not start: {self.log}")

    def _spawn(self) -> Program:
        file = self.folder / "conf"
        if not file.exists():
            file.write_text("\n".join(self._lines()) + "\n")
        return Program([binary(self.program), str(file), "--port", str(self.port)], self.folder / "log")

    def _lines(self) -> list[str]:
        config = {"bind": "127.0.0.1", "dir": str(self.folder), "daemonize": "no", **self._config}
        return [f"{name} {value or EMPTY}" for name, value in config.items()]

    def _answers(self) -> bool:
        try:
            return self.ask("PING") in (True, b"PONG")
        except RedisError:
            return False

    @property
    def _process(self) -> Program:
        assert self._running is not None
        return self._running

    @property
    def pid(self) -> int:
        """Gives the id of its process."""
        return self._process.pid

    def ask(self, *command: str | bytes | int, database: int = 0) -> Any:
        """Gives the reply to a command, over a connection of its own."""
        options: dict[str, Any] = {"password": self._config.get("requirepass"), "retry": Retry(NoBackoff(), 0)}
        with Redis(port=self.port, db=database, socket_timeout=10, **options) as client:
            return cast("Any", client).execute_command(*command)

    def kill(self) -> None:
        """The server is gone as by a crash."""
        self._process.kill()

    def stop(self) -> None:
        """The server has ended in good order."""
        self._process.signal(signal.SIGTERM)
        eventually(lambda: not self._process.running, f"{self.place} does not stop")

    def pause(self) -> None:
        """The server keeps its connections and answers nothing."""
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """The server goes on."""
        self._process.signal(signal.SIGCONT)


class _Sentinel(RedisServer):
    """A sentinel; it writes what it learns into its configuration."""

    program = "redis-sentinel"

    def _lines(self) -> list[str]:
        own = {"bind": "127.0.0.1", "dir": str(self.folder), "daemonize": "no"}
        lines = [f"{name} {value}" for name, value in own.items()]
        return [*lines, *(f"sentinel {name} {value}" for name, value in self._config.items() if " " in value)]


class RedisCluster:
    """Three primaries that share the slots evenly."""

    def __init__(self, nodes: Sequence[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Gives the address that Baton takes."""
        return "redis+cluster://" + ",".join(node.place for node in self.nodes)

    def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """The slot, which is empty or whose keys went before, belongs to the target, and all nodes know."""
        name = target.ask("CLUSTER MYID")
        for node in (target, source, *self.nodes):
            node.ask("CLUSTER SETSLOT", slot, "NODE", name)

    def flush(self) -> None:
        """Nothing is stored."""
        for node in self.nodes:
            node.ask("FLUSHALL")


class RedisSentinels:
    """A primary and its replica, watched by sentinels."""

    def __init__(self, data: Sequence[RedisServer], sentinels: Sequence[RedisServer]) -> None:
        self.data = data
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """Gives the address that Baton takes."""
        return f"redis+sentinel://{','.join(one.place for one in self.sentinels)}/{SERVICE}"

    @property
    def primary(self) -> RedisServer:
        """Gives the server that the sentinels call the primary now."""
        port = _told_primary(self.sentinels[0])
        return next(server for server in self.data if server.port == port)

    def fail_over(self) -> None:
        """The replica was promoted in good order, and the sentinels say so; the old one hears of it seconds later."""
        old = self.primary
        eventually(lambda: _takes(self.sentinels[0], "SENTINEL FAILOVER", SERVICE), "no failover begins")
        self.wait_for_other_than(old)

    def wait_for_other_than(self, old: RedisServer) -> None:
        """Every sentinel names another primary, and it takes writes."""
        others = [one for one in self.data if one is not old]
        ports = {one.port for one in others}
        eventually(lambda: all(_told_primary(one) in ports for one in self.sentinels), "no sentinel failed over")
        eventually(lambda: any(_role(one) == b"master" for one in others), "nobody was promoted")


@cache
def shared_server() -> RedisServer:
    """Gives the server that this process's tests share, each in databases of its own (`fresh`)."""
    return RedisServer()


@contextmanager
def running(**config: str) -> Generator[RedisServer]:
    """Gives a server of the test's own, with that configuration."""
    server = RedisServer(**config)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_cluster(**config: str) -> Generator[RedisCluster]:
    """Gives a cluster whose nodes have that configuration."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(**_clustered(config))) for _ in range(3)]
        _share_slots(nodes)
        yield RedisCluster(nodes)


@contextmanager
def running_sentinels(number: int = 1, **config: str) -> Generator[RedisSentinels]:
    """Gives a primary, a replica and that many sentinels, who notice within half a second that the primary is gone."""
    with ExitStack() as stack:
        primary = stack.enter_context(running(**config))
        replica = stack.enter_context(running(**config, replicaof=f"127.0.0.1 {primary.port}"))
        eventually(lambda: _is_followed(primary), "the replica does not follow")
        watch = {
            "monitor": f"{SERVICE} 127.0.0.1 {primary.port} {number // 2 + 1}",
            "down-after-milliseconds": f"{SERVICE} 500",
            "failover-timeout": f"{SERVICE} 3000",
        }
        sentinels = [_Sentinel(**watch) for _ in range(number)]
        for sentinel in sentinels:
            stack.callback(sentinel.kill)
        eventually(lambda: all(_sees_all(one, number) for one in sentinels), "the sentinels do not see everybody")
        yield RedisSentinels((primary, replica), sentinels)


def _clustered(config: Mapping[str, str]) -> dict[str, str]:
    own = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "cluster-node-timeout": "2000"}
    return {**own, "databases": "1", **config}


def _share_slots(nodes: Sequence[RedisServer]) -> None:
    bounds = [SLOTS * place // len(nodes) for place in range(len(nodes) + 1)]
    for epoch, (node, first, end) in enumerate(zip(nodes, bounds, bounds[1:], strict=False), 1):
        node.ask("CLUSTER SET-CONFIG-EPOCH", epoch)
        node.ask("CLUSTER ADDSLOTSRANGE", first, end - 1)
    for node in nodes[1:]:
        nodes[0].ask(
            "CLUSTER MEET", "127.0.0.1", node.port, int(node.ask("CONFIG GET", "cluster-port")["cluster-port"])
        )
    eventually(lambda: all(_whole(node, len(nodes)) for node in nodes), "the cluster does not come together")


def _whole(node: RedisServer, size: int) -> bool:
    facts = node.ask("CLUSTER INFO")
    return facts["cluster_state"] == "ok" and facts["cluster_known_nodes"] == str(size)


def _sees_all(sentinel: RedisServer, number: int) -> bool:
    facts = sentinel.ask("SENTINEL MASTER", SERVICE)
    return facts["num-slaves"] == 1 and facts["num-other-sentinels"] == number - 1


def _told_primary(sentinel: RedisServer) -> int:
    return int(sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)[1])


def _takes(server: RedisServer, *command: str) -> bool:
    """Says whether the server does it; it may not be ready for it yet."""
    try:
        server.ask(*command)
    except ResponseError:
        return False
    return True


def _role(server: RedisServer) -> Any:
    try:
        return server.ask("ROLE")[0]
    except LostConnection:
        return None


def _is_followed(server: RedisServer) -> bool:
    return server.ask("INFO", "replication").get("slave0", {}).get("state") == "online"
