"""`baton migrate` for Postgres. Alembic and SQLAlchemy are imported here only, and here only by that command."""

import asyncio
import logging
from functools import partial

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from asyncpg import InsufficientPrivilegeError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.errors import ConfigError, StoreUnavailable
from app.stores.postgres.faults import FOREIGN, POOLED, refusal, translate
from app.stores.postgres.schema import FOLDER, newest


def migrate(url: str, variable: str = "BATON_STORE_URL") -> str:
    """The database has the newest schema, whose version this gives; if it had it before, nothing has changed.

    Not to be run in an event loop. Raises ConfigError, naming that variable, when it cannot be done.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        asyncio.run(_migrate(url))
        return newest()
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None else None
        raise _told(cause if isinstance(cause, Exception) else error, variable) from None
    except (*FOREIGN, CommandError, ValueError) as error:
        raise _told(error, variable) from None


async def _migrate(url: str) -> None:
    """The driver gets the address as it is: it knows more of them than SQLAlchemy does."""
    connect = partial(asyncpg.connect, url, statement_cache_size=0)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, "head")


def _told(error: Exception, variable: str) -> Exception:
    """Gives the error that says what to do."""
    if isinstance(error, InsufficientPrivilegeError):
        fix = "let it CREATE in the database, or migrate as the database's owner"
        return ConfigError(f"{variable}: its role may not migrate ({error.args[0]}); {fix}")
    if isinstance(error, POOLED):
        fix = "set BATON_DATABASE_DIRECT_URL to an address that does not"
        return ConfigError(f"{variable}: it leads through a transaction pooler; {fix}")
    if isinstance(error, CommandError):
        return ConfigError(f"{variable}: the database has a schema that this program does not know; use a newer one")
    told = refusal(error, variable) or translate(error)
    if isinstance(told, StoreUnavailable):
        return ConfigError(f"{variable}: nothing was migrated ({told}); start the database, or mend the address")
    return told
