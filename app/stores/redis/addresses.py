"""Where Redis is, as a URL says it.

    redis://[user:password@]host[:port][/db]                     one server
    rediss://…                                                   the same over TLS
    redis+cluster://[user:password@]h1:p1,h2:p2                  a cluster, by some of its nodes
    redis+sentinel://[user:password@]s1:p1,s2:p2/service[/db]    the primary of a service, by its sentinels

Options (`?name=value`): `tls=true` (cluster, sentinel), `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths),
`ssl_check_hostname=false`, and for sentinels that have a login of their own `sentinel_username`, `sentinel_password`.
"""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from app.core.errors import ConfigError

Topology = Literal["server", "cluster", "sentinel"]
Host = tuple[str, int]
_TOPOLOGIES: Mapping[str, Topology] = {
    "redis": "server",
    "rediss": "server",
    "redis+cluster": "cluster",
    "redis+sentinel": "sentinel",
}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_LOGIN = ("sentinel_username", "sentinel_password")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PORT, _SENTINEL_PORT = 6379, 26379
_FIX = "write redis://host:6379/0, rediss://…, redis+cluster://host:port,… or redis+sentinel://host:port,…/service"


class Login(Struct, frozen=True):
    """How a server is logged in to."""

    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "Login(…)"


class Address(Struct, frozen=True, kw_only=True):
    """A URL, understood."""

    topology: Topology
    hosts: tuple[Host, ...]
    db: int = 0
    service: str = ""
    login: Login = Login()
    sentinel_login: Login = Login()
    tls: bool = False
    tls_options: tuple[tuple[str, str | bool], ...] = ()


class _Meaningless(ValueError):
    """The URL means no address; the text repeats nothing of it but an option's name."""


def parse(url: str, variable: str = "BATON_STORE_URL") -> Address:
    """Gives the address. Raises ConfigError, which names that variable and repeats no password, for any other URL."""
    try:
        return _address(urlsplit(url), url)
    except _Meaningless as error:
        raise ConfigError(f"{variable}: {error}; {_FIX}") from None
    except ValueError:  # Python's own; its text repeats what may be a password
        raise ConfigError(f"{variable}: it is no address of a Redis; {_FIX}") from None


def _address(parts: SplitResult, url: str) -> Address:
    topology = _TOPOLOGIES.get(parts.scheme)
    if topology is None:
        raise _Meaningless(f"its scheme must be one of {', '.join(_TOPOLOGIES)}")
    if "@" in parts.path + parts.query or parts.fragment or any(map(str.isspace, url)):
        raise _Meaningless("a password must spell @ as %40, / as %2F, ? as %3F, # as %23 and a space as %20")
    userinfo, _, places = parts.netloc.rpartition("@")
    hosts = _hosts(places, topology)
    options = _options(parts.query, topology)
    service, db = _path(parts.path, topology)
    tls = {**options}.pop("tls", parts.scheme == "rediss")
    return Address(
        topology=topology,
        hosts=hosts,
        db=db,
        service=service,
        login=_login(userinfo),
        sentinel_login=Login(*(_text(options.get(name)) for name in _SENTINEL_LOGIN)),
        tls=bool(tls),
        tls_options=tuple((name, value) for name, value in options.items() if name.startswith("ssl_")),
    )


def _text(option: str | bool | None) -> str | None:
    return option if isinstance(option, str) else None


def _login(userinfo: str) -> Login:
    username, _, password = userinfo.partition(":")
    return Login(unquote(username) or None, unquote(password) or None)


def _hosts(places: str, topology: Topology) -> tuple[Host, ...]:
    default = _SENTINEL_PORT if topology == "sentinel" else _PORT
    hosts = tuple(_host(place, default) for place in places.split(","))
    if topology == "server" and len(hosts) > 1:
        raise _Meaningless("it names several hosts, which only a redis+cluster:// and a redis+sentinel:// have")
    return hosts


def _host(place: str, default: int) -> Host:
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise _Meaningless("it is no address of a Redis, for it names no host")
    return parts.hostname, parts.port or default


def _path(path: str, topology: Topology) -> tuple[str, int]:
    """Gives the service's name and the number of the database."""
    pieces = [unquote(piece) for piece in path.split("/") if piece]
    service = pieces.pop(0) if topology == "sentinel" and pieces else ""
    if topology == "sentinel" and not service:
        raise _Meaningless("it needs the name of the service that the sentinels watch")
    if len(pieces) > 1 or (pieces and not (pieces[0].isascii() and pieces[0].isdigit())):
        raise _Meaningless("its path must be a number, which is that of a database")
    db = int(pieces[0]) if pieces else 0
    if topology == "cluster" and db:
        raise _Meaningless("a cluster has database 0 only")
    return service, db


def _options(query: str, topology: Topology) -> dict[str, str | bool]:
    return {name: _option(name, value, topology) for name, value in parse_qsl(query, keep_blank_values=True)}


def _option(name: str, value: str, topology: Topology) -> str | bool:
    flag = _FLAGS.get(value.lower())
    if (name == "ssl_check_hostname" or (name == "tls" and topology != "server")) and flag is not None:
        return flag
    if value and (name in _FILES or (name in _SENTINEL_LOGIN and topology == "sentinel")):
        return value
    raise _Meaningless(f"its option {name!r} is unknown there, or has no value that it may have")
