"""Where the stores are: what BATON_STORE_URL and its companions may say, and what they say then.

Nothing is opened here, and of an address only its scheme is looked at: the backend that it leads to understands the
rest. Neither a message nor a value's text repeats an address: it may hold a password.
"""

from pathlib import Path
from urllib.parse import urlsplit

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

    def __repr__(self) -> str:
        return "RedisStore(…)"


class PostgresStore(Struct, frozen=True, tag="postgres"):
    """Everything durable is in one database.

    `direct_url` leads past a transaction pooler, which `url` goes through then. `bus_url` is a Redis that carries what
    is live, in place of LISTEN and NOTIFY.
    """

    url: str
    direct_url: str | None = None
    bus_url: str | None = None

    def __repr__(self) -> str:
        return "PostgresStore(…)"


Store = SqliteStore | MemoryStore | RedisStore | PostgresStore


def store_at(url: str | None, direct_url: str | None, bus_url: str | None, data_dir: Path) -> Store:
    """Gives the store. Raises ConfigError for what cannot be meant: the variable, the reason, the fix."""
    store = _store(url, data_dir)
    if isinstance(store, PostgresStore):
        if direct_url is not None:
            _check_postgres("BATON_DATABASE_DIRECT_URL", direct_url)
        if bus_url is not None and _scheme(bus_url) not in REDIS_SCHEMES:
            raise ConfigError(f"BATON_BUS_URL: it is no address of a Redis; {_REDIS}")
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
    scheme, rest = _scheme(url), url.partition("://")[2]
    if url == "memory://":
        return MemoryStore()
    if scheme in REDIS_SCHEMES:
        return RedisStore(url)
    if scheme == "postgresql":
        _check_postgres("BATON_STORE_URL", url)
        return PostgresStore(url)
    if scheme == "sqlite" and _is_file(rest):
        return SqliteStore(Path(rest[1:]))
    raise ConfigError(f"BATON_STORE_URL: no store is at such an address; {_STORES}")


def _is_file(rest: str) -> bool:
    return rest.startswith("/") and not rest.endswith(("/", ":memory:")) and not set(rest) & set("?#")


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _check_postgres(variable: str, url: str) -> None:
    if not _is_database(url):
        raise ConfigError(f"{variable}: it is no address of a PostgreSQL database; {_POSTGRES}")


def _is_database(url: str) -> bool:
    """Says whether it names a database, on one host or on several, or on none, which is then this machine."""
    try:
        parts = urlsplit(url)
        hosts = [urlsplit(f"//{place}") for place in parts.netloc.rpartition("@")[2].split(",")]
        _ = [host.port for host in hosts]
    except ValueError:
        return False
    named = len(hosts) == 1 or all(host.hostname for host in hosts)
    return parts.scheme == "postgresql" and named and bool(parts.path.strip("/")) and not parts.fragment
