"""A connection of its own that hears what is notified on a channel. It leads past every transaction pooler."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.stores.postgres.database import CONNECT_SECONDS
from app.stores.postgres.faults import FOREIGN, refusal, translate


@asynccontextmanager
async def listening(url: str, channel: str, hear: Callable[[str], object], variable: str) -> AsyncGenerator[str, None]:
    """Every payload on the channel is heard while the body runs, in order; gives a word that names this connection.

    Raises ConfigError, naming that variable, if the address is none that can be right, and StoreUnavailable.
    """

    def heard(_connection: Any, _process: int, _channel: str, payload: object) -> None:
        hear(str(payload))

    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, statement_cache_size=0)
        await connection.add_listener(channel, heard)
    except (*FOREIGN, ValueError) as error:
        raise refusal(error, variable) or translate(error) from None
    try:
        yield str(connection.get_server_pid())
    finally:
        connection.terminate()
