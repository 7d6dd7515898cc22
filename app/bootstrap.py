"""The composition root: settings in, services out. The only place that names a backend, and that opens anything."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.auth.base import Authenticator
from app.core.clock import Clock, SystemClock
from app.core.errors import ConfigError, StoreCorrupt, StoreUnavailable
from app.core.ids import Ids, Incarnation, RandomIds
from app.engine.catalog import SYSTEM_TENANT, AgentCatalog
from app.engine.engine import Engine
from app.engine.services import Services
from app.engine.tasks import Tasks
from app.llm.base import Model
from app.settings import ANTHROPIC_URL, PROVIDERS, MemoryStore, Settings, SqliteStore
from app.stores.base import KeyValue
from app.stores.bundle import Stores
from app.tools.toolbox import Toolbox, builtin_tools
from app.workspace.local import LocalWorkspaces


@dataclass(frozen=True, slots=True)
class Server:
    """Everything a server process is made of."""

    engine: Engine
    services: Services
    authenticator: Authenticator


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncGenerator[Server, None]:
    """Gives a working server; everything it opened is closed afterwards. Raises ConfigError."""
    clock, ids = SystemClock(), RandomIds()
    async with AsyncExitStack() as stack:
        stores = await _open_stores(settings, clock, stack)
        await _bind_to_host(settings.data_dir, stores.keyvalue, ids)
        toolbox = Toolbox(builtin_tools())
        services = Services(
            incarnation=Incarnation(ids.token()),
            stores=stores,
            catalog=AgentCatalog(settings.agents_dir, tools=toolbox.names, providers=PROVIDERS),
            models=await _open_models(settings, clock, stack),
            default_model=settings.default_model,
            toolbox=toolbox,
            workspaces=LocalWorkspaces(settings.data_dir / "workspaces"),
            clock=clock,
            ids=ids,
            slots=settings.max_runs,
        )
        authenticator = await _open_authenticator(settings, clock, stack)
        engine = Engine(services)
        await stack.enter_async_context(engine.running())
        yield Server(engine, services, authenticator)


async def _open_stores(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Stores:
    match settings.store:
        case MemoryStore():
            from app.stores.memory.stores import open_memory

            return await stack.enter_async_context(open_memory(clock))
        case SqliteStore(path=path):
            from app.stores.sqlite.stores import open_sqlite

            _make_directory(path.parent, "BATON_DATA_DIR" if settings.store_url is None else "BATON_STORE_URL")
            try:
                return await stack.enter_async_context(open_sqlite(path, clock))
            except (StoreCorrupt, StoreUnavailable) as error:
                raise ConfigError(f"BATON_STORE_URL: {path} cannot be opened ({error}); mend the path") from error


async def _open_models(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Model]:
    """Gives the providers that could be asked: those with a key or an address, and those that need neither."""
    from app.llm.offline import OfflineModel

    models: dict[str, Model] = {"offline": OfflineModel(clock)}
    if settings.script is not None:
        from app.llm.scripted import ScriptedModel

        models["scripted"] = ScriptedModel(settings.script, clock)
    return models | await _open_remote_models(settings, clock, stack)


async def _open_remote_models(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Model]:
    from aiohttp import ClientSession, TCPConnector

    from app.llm.openai import OpenAIModel
    from app.llm.retrying import RetryingModel

    unlimited = TCPConnector(limit=0, ttl_dns_cache=60)  # the worker's slots are the limit
    session = await stack.enter_async_context(ClientSession(connector=unlimited))
    openai = OpenAIModel(session, settings.openai_base_url, settings.openai_key)
    anthropic = OpenAIModel(session, ANTHROPIC_URL, settings.anthropic_key)
    return {
        "openai": RetryingModel(openai, clock, random.random),
        "anthropic": RetryingModel(anthropic, clock, random.random),
    }


async def _open_authenticator(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Authenticator:
    if settings.keys_file is not None:
        from app.auth.keyfile import KeyFileAuthenticator

        keys = KeyFileAuthenticator(settings.keys_file)
        tasks = await stack.enter_async_context(Tasks())
        tasks.start(keys.watch(clock))
        return keys
    from app.auth.loopback import LoopbackAuthenticator

    return LoopbackAuthenticator(settings.cors_origins)


async def _bind_to_host(data_dir: Path, values: KeyValue, ids: Ids) -> None:
    """The store and this directory belong together: a store opened beside other workspaces would mix them up."""
    stored = await values.get(SYSTEM_TENANT, "marker")
    here = await asyncio.to_thread(_marker, data_dir / "marker", None if stored else ids.token())
    if stored is None:
        await values.put(SYSTEM_TENANT, "marker", here)
    elif here != stored.data:
        raise ConfigError(
            f"BATON_DATA_DIR: {data_dir} holds the workspaces of another deployment than the store; set it to the "
            "directory that this store was first used with"
        )


def _marker(path: Path, fresh: str | None) -> bytes:
    """Gives the directory's marker; a fresh one is written if there is none."""
    _make_directory(path.parent, "BATON_DATA_DIR")
    try:
        if not path.exists() and fresh is not None:
            path.write_text(fresh)
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"BATON_DATA_DIR: {path} cannot be used ({error.strerror}); mend the path") from error


def _make_directory(path: Path, variable: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be made ({error.strerror}); mend the path") from error
