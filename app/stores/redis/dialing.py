"""New connections to Redis servers: with a time-out to connect, and none of the client's own retries."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import Connection as Wire
from redis.asyncio.connection import SSLConnection as TlsWire

from app.stores.redis.addresses import Address, Host, Login

CONNECT_SECONDS = 2.0


class Dialer:
    """Connects to any server that an address leads to. The TLS context is made once: it takes milliseconds."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._options: Mapping[str, Any] = dict(address.tls_options)
        self._context = TlsWire(**self._options).ssl_context if address.tls else None

    async def dial(self, host: Host) -> Wire:
        """Gives a connection to a data server, logged in and on the database. Raises what redis-py raises."""
        return await self._connect(host, self._address.login, self._address.db)

    async def dial_sentinel(self, host: Host) -> Wire:
        """Gives a connection to a sentinel."""
        return await self._connect(host, self._address.sentinel_login, 0)

    async def _connect(self, host: Host, login: Login, db: int) -> Wire:
        wire = self._wire(host, login, db)
        try:
            await wire.connect()
        except BaseException:
            await wire.disconnect(nowait=True)
            raise
        return wire

    def _wire(self, host: Host, login: Login, db: int) -> Wire:
        options: dict[str, Any] = {
            "host": host[0],
            "port": host[1],
            "username": login.username,
            "password": login.password,
            "db": db,
            "protocol": 2,
            "driver_info": None,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": None,  # one time-out spans the whole call, whatever it takes: see connection.py
        }
        if self._context is None:
            return Wire(**options)
        wire = TlsWire(**options)
        wire.ssl_context = self._context
        return wire
