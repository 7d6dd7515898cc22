"""What must be true of a database before anything is served from it; looked at once, when the server starts."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from asyncpg import InsufficientPrivilegeError

from app.core.errors import ConfigError, StoreUnavailable
from app.stores.postgres.database import Database
from app.stores.postgres.faults import POOLED, UNMIGRATED
from app.stores.postgres.listening import listening

FOLDER = Path(__file__).resolve().parents[3] / "migrations" / "postgres"
OLDEST_SERVER = 15
CHANNEL = "baton_start"
HEARD_SECONDS = 3.0
"""How long a notification may take from one connection to another."""

_log = logging.getLogger(__name__)


def newest(folder: Path = FOLDER) -> str:
    """Gives the schema version that this program speaks."""
    return max(file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py"))


async def check(database: Database) -> None:
    """The database has the schema that this program speaks. Raises ConfigError with what to do; warns of its role."""
    await _check_server(database)
    await _check_version(database)


async def _check_server(database: Database) -> None:
    for row in await database.call("describe_server"):
        if row["version"] < OLDEST_SERVER:
            raise ConfigError(
                f"BATON_STORE_URL: that is PostgreSQL {row['version']}; Baton needs {OLDEST_SERVER} or newer"
            )
        if row["unbound"]:
            _log.warning(
                "the role %s of BATON_STORE_URL is not bound by row-level security, for it is a superuser, owns the "
                "tables or may bypass it; log in as another role, to which you GRANT baton_app",
                row["role"],
            )


async def _check_version(database: Database) -> None:
    found, known = await _version(database), newest()
    if found < known:
        raise ConfigError(
            f"BATON_STORE_URL: the database has schema {found}, this program {known}; run `baton migrate`"
        )
    if found > known:
        raise ConfigError(
            f"BATON_STORE_URL: the database has schema {found}, this program knows {known}; use a newer program"
        )


async def _version(database: Database) -> str:
    try:
        row = await database.row("schema_version")
    except UNMIGRATED as error:
        raise ConfigError("BATON_STORE_URL: the database holds no Baton yet; run `baton migrate`") from error
    except InsufficientPrivilegeError as error:
        raise ConfigError(
            "BATON_STORE_URL: its role may not use Baton's tables; as their owner run: GRANT baton_app TO <role>"
        ) from error
    return row["version_num"] if row is not None else "0000"


async def check_direct(database: Database, url: str, direct_url: str | None) -> None:
    """What is notified over the pool is heard at the direct address, or at the pool's own if there is no other.

    A transaction pooler leaves no connection of its client's own to hear anything on. Raises ConfigError.
    """
    variable = "BATON_STORE_URL" if direct_url is None else "BATON_DATABASE_DIRECT_URL"
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with _heard_at(direct_url or url, heard.put_nowait, variable) as mark:
        try:
            await database.call("notify", CHANNEL, mark)
            async with asyncio.timeout(HEARD_SECONDS):
                while await heard.get() != mark:
                    pass
        except (TimeoutError, *POOLED):
            raise ConfigError(_deaf(direct_url)) from None


@asynccontextmanager
async def _heard_at(url: str, hear: Callable[[str], object], variable: str) -> AsyncGenerator[str, None]:
    """What is notified is heard at that address. Raises ConfigError, also if nobody answers there."""
    async with AsyncExitStack() as stack:
        try:
            mark = await stack.enter_async_context(listening(url, CHANNEL, hear, variable))
        except StoreUnavailable as error:
            raise ConfigError(f"{variable}: the database does not answer ({error}); start it, or mend it") from error
        yield mark


def _deaf(direct_url: str | None) -> str:
    if direct_url is None:
        return (
            "BATON_STORE_URL: it leads through a transaction pooler; set BATON_DATABASE_DIRECT_URL to an address of "
            "the same database that does not"
        )
    return (
        "BATON_DATABASE_DIRECT_URL: what is sent through BATON_STORE_URL is not heard there; it must lead to the same "
        "database, and through no transaction pooler"
    )
