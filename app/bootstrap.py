"""The composition root: settings in, services out. The only place that names a backend, and that opens anything."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from app.auth.base import Authenticator
from app.core.clock import Clock, SystemClock
from app.core.errors import ConfigError, HeadMoved, StoreCorrupt, StoreUnavailable
from app.core.ids import Ids, Incarnation, RandomIds
from app.core.tasks import Tasks
from app.engine.catalog import SYSTEM_TENANT, AgentCatalog
from app.engine.engine import Engine
from app.engine.services import Services
from app.llm.base import Model
from app.llm.metered import MeteredModel
from app.observability.exposition import Exposition
from app.observability.lag import LoopLag
from app.settings import ANTHROPIC_URL, PROVIDERS, Settings
from app.stores.addresses import MemoryStore, PostgresStore, RedisStore, SqliteStore
from app.stores.base import KeyValue
from app.stores.bundle import Stores
from app.stores.metered import StoreMeter, metered
from app.stores.tally import Tally
from app.tools.metered import MeteredTool
from app.tools.toolbox import Toolbox, builtin_tools
from app.workspace.local import LocalWorkspaces

REMOTE = ("anthropic", "openai")
"""Providers that a network lies before."""


@dataclass(frozen=True, slots=True)
class Server:
    """Everything a server process is made of."""

    engine: Engine
    services: Services
    authenticator: Authenticator
    exposition: Exposition


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncGenerator[Server, None]:
    """Gives a working server; everything it opened is closed afterwards. Raises ConfigError."""
    clock, ids = SystemClock(), RandomIds()
    async with AsyncExitStack() as stack:
        tools = [MeteredTool(tool, clock) for tool in builtin_tools()]
        toolbox = Toolbox(tools)
        meter = StoreMeter(str(type(settings.store).__struct_config__.tag), clock)
        tally, lag = Tally(toolbox.names), LoopLag(clock)
        stores = metered(await _open_stores(settings, clock, stack), meter, tally)
        providers, models = await _open_models(settings, clock, stack)
        await _bind_to_host(settings.data_dir, stores.keyvalue, ids)
        services = Services(
            incarnation=Incarnation(ids.token()),
            stores=stores,
            catalog=AgentCatalog(settings.agents_dir, tools=toolbox.names, providers=PROVIDERS),
            models=models,
            default_model=settings.default_model,
            toolbox=toolbox,
            workspaces=LocalWorkspaces(settings.data_dir / "workspaces"),
            clock=clock,
            ids=ids,
            slots=settings.max_runs,
        )
        authenticator = await _open_authenticator(settings, clock, stack)
        engine = Engine(services)
        await _start(engine, stack)
        tasks = await stack.enter_async_context(Tasks())
        tasks.start(lag.probe_forever())
        yield Server(
            engine,
            services,
            authenticator,
            Exposition(version("baton"), [engine, meter, tally, lag, *stores.sources, *providers, *tools]),
        )


async def _start(engine: Engine, stack: AsyncExitStack) -> None:
    try:
        await stack.enter_async_context(engine.running())
    except StoreUnavailable as error:
        raise ConfigError(f"BATON_STORE_URL: the store answers but takes no writes ({error}); mend it") from error


async def _open_stores(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Stores:
    pool, wait = settings.store_pool, settings.store_wait
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
        case RedisStore(url=url):
            from app.stores.redis.stores import open_redis

            return await stack.enter_async_context(open_redis(url, clock, pool=pool, wait=wait))
        case PostgresStore():
            return await _open_postgres(settings.store, pool, wait, clock, stack)


async def _open_postgres(store: PostgresStore, pool: int, wait: float, clock: Clock, stack: AsyncExitStack) -> Stores:
    from app.stores.postgres.stores import open_postgres

    bus = None
    if store.bus_url is not None:
        from app.stores.redis.stores import open_bus

        bus = await stack.enter_async_context(open_bus(store.bus_url))
    try:
        opened = open_postgres(store.url, clock, direct_url=store.direct_url, pool=pool, wait=wait, bus=bus)
        return await stack.enter_async_context(opened)
    except StoreUnavailable as error:
        raise ConfigError(f"BATON_STORE_URL: the database does not answer ({error}); start it, or mend it") from error


async def _open_models(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> tuple[list[MeteredModel], dict[str, Model]]:
    """Gives the providers that could be asked: as they are metered, and as they are used."""
    from app.llm.retrying import RetryingModel

    providers = await _open_providers(settings, clock, stack)
    metered = {name: MeteredModel(model, name, clock) for name, model in providers.items()}
    used: dict[str, Model] = {
        name: RetryingModel(model, clock, random.random) if name in REMOTE else model for name, model in metered.items()
    }
    return list(metered.values()), used


async def _open_providers(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Model]:
    """Gives those with a key or an address, and those that need neither."""
    from app.llm.offline import OfflineModel

    models: dict[str, Model] = {"offline": OfflineModel(clock)}
    if settings.script is not None:
        from app.llm.scripted import ScriptedModel

        models["scripted"] = ScriptedModel(settings.script, clock)
    return models | await _open_remote_models(settings, clock, stack)


async def _open_remote_models(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Model]:
    from aiohttp import ClientSession, TCPConnector

    from app.llm.openai import OpenAIModel

    unlimited = TCPConnector(limit=0, ttl_dns_cache=60)  # the worker's slots are the limit
    session = await stack.enter_async_context(ClientSession(connector=unlimited))
    openai = OpenAIModel(session, settings.openai_base_url, settings.openai_key)
    anthropic = OpenAIModel(session, ANTHROPIC_URL, settings.anthropic_key)
    return {
        "openai": openai,
        "anthropic": anthropic,
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
        try:
            await values.put_if_version(SYSTEM_TENANT, "marker", here, 0)
        except HeadMoved:  # another replica has started at the same moment
            stored = await values.get(SYSTEM_TENANT, "marker")
    if stored is not None and here != stored.data:
        raise ConfigError(
            f"BATON_DATA_DIR: {data_dir} holds the workspaces of another deployment than the store; set it to the "
            "directory that this store was first used with"
        )


def _marker(path: Path, fresh: str | None) -> bytes:
    """Gives the directory's marker; a fresh one is written, once for all who start now, if there is none."""
    _make_directory(path.parent, "BATON_DATA_DIR")
    try:
        if fresh is not None and not path.exists():
            draft = path.with_name(f"marker.{fresh}")
            draft.write_text(fresh)
            with suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"BATON_DATA_DIR: {path} cannot be used ({error.strerror}); mend the path") from error


def _make_directory(path: Path, variable: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be made ({error.strerror}); mend the path") from error
