"""Where the stores are: what BATON_STORE_URL and its companions may say, and what they say then.

Nothing is opened here. A message never repeats an address: it may hold a password.
"""

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from app.core.errors import ConfigError

REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "redis+sentinel")

_STORES = (
    "write sqlite:///relative/path, sqlite:////absolute/path, redis://host:6379/0, rediss://…, "
    "redis+cluster://host:port,host:port, redis+sentinel://host:port,host:port/name, postgresql://user@host/database "
    "or memory://, or leave it unset"
)
_REDIS = "write redis://host:6379/0, rediss://…, redis+cluster://host:port,… or redis+sentinel://host:port,…/name"
_POSTGRES = "write postgresql://user@host:5432/database"


class SqliteStore(Struct, frozen=True, tag="sqlite"):
    """Everything durable is in that one file."""

    path: Path


class MemoryStore(Struct, frozen=True, tag="memory"):
    """Nothing outlives the process."""


class RedisStore(Struct, frozen=True, tag="redis"):
    """Everything is in one Redis: a server, a Cluster, or what a Sentinel set watches."""

    url: str


class PostgresStore(Struct, frozen=True, tag="postgres"):
    """Everything durable is in one database.

    `direct_url` leads past a transaction pooler, which `url` goes through then. `bus_url` is a Redis that carries what
    is live, in place of LISTEN and NOTIFY.
    """

    url: str
    direct_url: str | None = None
    bus_url: str | None = None


Store = SqliteStore | MemoryStore | RedisStore | PostgresStore


def store_at(url: str | None, direct_url: str | None, bus_url: str | None, data_dir: Path) -> Store:
    """Gives the store. Raises ConfigError for what cannot be meant: the variable, the reason, the fix."""
    store = _store(url, data_dir)
    if isinstance(store, PostgresStore):
        if direct_url is not None:
            _check_postgres("BATON_DATABASE_DIRECT_URL", direct_url)
        if bus_url is not None:
            _check_redis("BATON_BUS_URL", bus_url, _REDIS)
        return PostgresStore(store.url, direct_url, bus_url)
    if direct_url is not None:
        raise ConfigError(
            "BATON_DATABASE_DIRECT_URL: it belongs to a postgresql:// store behind a pooler, and BATON_STORE_URL names "
            "none; unset it"
        )
    if bus_url is not None:
        raise ConfigError(
            "BATON_BUS_URL: it belongs to a postgresql:// store; every other store carries what is live itself; unset "
            "it, or set BATON_STORE_URL"
        )
    return store


def _store(url: str | None, data_dir: Path) -> Store:
    if url is None:
        return SqliteStore(data_dir / "baton.db")
    scheme, _, rest = url.partition("://")
    if url == "memory://":
        return MemoryStore()
    if scheme in REDIS_SCHEMES:
        _check_redis("BATON_STORE_URL", url, _REDIS)
        return RedisStore(url)
    if scheme == "postgresql":
        _check_postgres("BATON_STORE_URL", url)
        return PostgresStore(url)
    if scheme == "sqlite" and _is_file(rest):
        return SqliteStore(Path(rest[1:]))
    raise ConfigError(f"BATON_STORE_URL: no store is at such an address; {_STORES}")


def _is_file(rest: str) -> bool:
    return rest.startswith("/") and not rest.endswith(("/", ":memory:")) and not set(rest) & set("?#")


def _check_redis(variable: str, url: str, fix: str) -> None:
    scheme, _, rest = url.partition("://")
    hosts, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    known = scheme in REDIS_SCHEMES and all(hosts.split(",")) and not set(url) & set(" #")
    if not known or any(_port_of(host) is None for host in hosts.split(",")):
        raise ConfigError(f"{variable}: it is no address of a Redis; {fix}")
    if "," in hosts and scheme in ("redis", "rediss"):
        raise ConfigError(f"{variable}: several hosts are a Cluster or a Sentinel set; {fix}")
    if scheme == "redis+sentinel" and not path.partition("/")[0]:
        raise ConfigError(f"{variable}: a Sentinel set needs the name of what it watches; {fix}")
    if scheme == "redis+cluster" and path not in {"", "0"}:
        raise ConfigError(f"{variable}: a Cluster has database 0 only; {fix}")
    if scheme in ("redis", "rediss") and path and not path.isdecimal():
        raise ConfigError(f"{variable}: a Redis database is a number; {fix}")


def _check_postgres(variable: str, url: str) -> None:
    parts = _split(url)
    if parts is None or parts.scheme != "postgresql" or not parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"{variable}: it is no address of a PostgreSQL database; {_POSTGRES}")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _port_of(host: str) -> int | None:
    """Gives the port of `host:port`, 0 if none is named, or None if it is no such thing."""
    parts = _split(f"//{host}")
    return None if parts is None or not parts.hostname else parts.port or 0
