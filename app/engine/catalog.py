"""The agents there are, and every version of them that a run may still be on.

A run records its agent's digest when it starts and finishes on that version, whichever replica it is on and whatever
the files say by then. So each version is in the store before the first run can name it.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from app.core.agents import AgentSpec
from app.core.errors import AgentNotFound, ConfigError, HeadMoved, StoreCorrupt
from app.core.ids import AgentId, TenantId
from app.engine.agent_files import AgentFiles
from app.stores.base import KeyValue

SYSTEM_TENANT = TenantId("_system")
KEPT = 64
"""Versions kept in memory that are not current; older ones are in the store."""

_log = logging.getLogger(__name__)


class AgentCatalog:
    """The current agents, read from their files, and older versions by digest."""

    def __init__(self, directory: Path, *, tools: Collection[str], providers: Collection[str]) -> None:
        """Reads every agent. Raises ConfigError, with file, line and reason, if any of them is broken."""
        self._files = AgentFiles(directory, tools=tools, providers=providers)
        self._stamp = self._files.stamp()
        self._current: Mapping[AgentId, AgentSpec] = {}
        self._digests: Mapping[AgentId, str] = {}
        self._known: dict[str, AgentSpec] = {}
        self._values: KeyValue | None = None
        self._become({agent: self._files.read(agent) for agent in self._files.ids()})

    def ids(self) -> tuple[AgentId, ...]:
        """Gives the current agents, by name."""
        return tuple(self._current)

    def get(self, agent: AgentId) -> AgentSpec:
        """Gives the agent's current version. Raises AgentNotFound, which names those there are."""
        if agent not in self._current:
            raise AgentNotFound(f"there is no agent {agent!r}; there are {', '.join(self._current)}")
        return self._current[agent]

    def digests(self) -> Mapping[AgentId, str]:
        """Gives the digests of the current versions: what this replica can begin a run with."""
        return self._digests

    async def publish(self, values: KeyValue) -> None:
        """Every current version is in the store, and later ones will be before they become current."""
        await _store(values, self._current.values())
        self._values = values

    async def by_digest(self, digest: str) -> AgentSpec:
        """Gives that version of an agent, current or not. Raises AgentNotFound if it was never published."""
        if digest not in self._known:
            self._remember([await self._load(digest)])
        return self._known[digest]

    async def reload(self) -> None:
        """The agents are as their files are now. A broken one stays as it was, and an error is logged once.

        Cheap while nothing changes; call it between runs. Raises StoreUnavailable, and then nothing has changed.
        """
        stamp = await asyncio.to_thread(self._files.stamp)
        if stamp == self._stamp:
            return
        agents = await asyncio.to_thread(self._reread)
        if self._values is not None:
            await _store(self._values, agents.values())
        self._become(agents)
        self._stamp = stamp
        _log.info("the agents' files changed; there are %s", ", ".join(agents))

    def _reread(self) -> Mapping[AgentId, AgentSpec]:
        try:
            read = {agent: self._reread_one(agent) for agent in self._files.ids()}
        except ConfigError:
            _log.exception("the agents stay as they were")
            return self._current
        return {agent: spec for agent, spec in read.items() if spec is not None}

    def _reread_one(self, agent: AgentId) -> AgentSpec | None:
        try:
            return self._files.read(agent)
        except ConfigError:
            _log.exception("the agent %s stays as it was", agent)
            return self._current.get(agent)

    def _become(self, agents: Mapping[AgentId, AgentSpec]) -> None:
        self._current = agents
        self._digests = MappingProxyType({agent: spec.digest for agent, spec in agents.items()})
        self._remember(agents.values())

    def _remember(self, specs: Iterable[AgentSpec]) -> None:
        """The specs can be found by digest; of those that are neither current nor among the last KEPT, none is kept."""
        for spec in specs:
            self._known.pop(spec.digest, None)
            self._known[spec.digest] = spec
        current = set(self._digests.values())
        past = [digest for digest in self._known if digest not in current]
        for digest in past[: max(0, len(past) - KEPT)]:
            del self._known[digest]

    async def _load(self, digest: str) -> AgentSpec:
        value = await self._values.get(SYSTEM_TENANT, _key(digest)) if self._values is not None else None
        if value is None:
            raise AgentNotFound(f"the version {digest[:12]} of an agent is neither loaded nor stored")
        try:
            return msgspec.json.decode(value.data, type=AgentSpec)
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"the version {digest[:12]} of an agent cannot be read: {error}") from error


async def _store(values: KeyValue, specs: Iterable[AgentSpec]) -> None:
    """Each version is in the store; one that is there already says the same."""
    for spec in specs:
        try:
            await values.put_if_version(SYSTEM_TENANT, _key(spec.digest), msgspec.json.encode(spec), 0)
        except HeadMoved:
            continue


def _key(digest: str) -> str:
    return f"agents/{digest}"
