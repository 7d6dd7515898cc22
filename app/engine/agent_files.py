"""An agent's files: `agents/<id>/AGENTS.md`, its instructions, and `agents/<id>/agent.yaml`, everything else."""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from app.core.agents import AgentSpec, Limits
from app.core.documents import Document
from app.core.errors import ConfigError
from app.core.ids import AgentId
from app.core.names import flaw

INSTRUCTIONS = "AGENTS.md"
SETTINGS = "agent.yaml"
MAX_BYTES = 256 * 1024
"""Of one file."""
MAX_NUMBER = 2**53

Stamp = tuple[tuple[str, int, int, int], ...]


class LimitSettings(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `limits` may say."""


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `agent.yaml` may say; each field means what AgentSpec's field of that name means."""

    model: str | None = None
    tools: tuple[str, ...] | None = None
    in_doubt: Literal["tell_model"] = "tell_model"
    max_tokens: int | None = None
    limits: LimitSettings = LimitSettings()


class AgentFiles:
    """Reads agents from a directory, strictly: what is misspelt is an error with file and line, never ignored."""

    def __init__(self, directory: Path, *, tools: Collection[str], providers: Collection[str]) -> None:
        """`tools` and `providers` are the names that a file may use."""
        self._directory = directory
        self._tools = tools
        self._providers = providers

    def ids(self) -> list[AgentId]:
        """Gives the agents there are, by name. Raises ConfigError if there is none, or the directory is absent."""
        try:
            names = sorted(entry.name for entry in self._directory.iterdir() if entry.is_dir())
        except OSError as error:
            raise ConfigError(f"BATON_AGENTS_DIR: {self._directory} cannot be read: {error.strerror}") from error
        agents = [AgentId(name) for name in names if not name.startswith((".", "_"))]
        for agent in agents:
            if reason := flaw(agent):
                raise ConfigError(f"{self._directory}: {agent!r} cannot be an agent's id: {reason}")
        if not agents:
            raise ConfigError(f"BATON_AGENTS_DIR: {self._directory} holds no agent; make <id>/{INSTRUCTIONS} in it")
        return agents

    def stamp(self) -> Stamp:
        """Gives what changes whenever a file does, cheaply: names, times, sizes and inodes. Never raises."""
        found: list[tuple[str, int, int, int]] = []
        for path in sorted(self._directory.glob(f"*/{INSTRUCTIONS}")) + sorted(self._directory.glob(f"*/{SETTINGS}")):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def read(self, agent: AgentId) -> AgentSpec:
        """Gives the agent as its files are now. Raises ConfigError with the file, the line and the reason."""
        settings_path = self._directory / agent / SETTINGS
        instructions_path = self._directory / agent / INSTRUCTIONS
        settings_bytes, instructions_bytes = _read(settings_path), _read(instructions_path)
        instructions = _decode(instructions_path, instructions_bytes).strip()
        if not instructions:
            raise ConfigError(f"{instructions_path}:1: it is empty; say here who the agent is and what it should do")
        settings = self._settings(Document(_decode(settings_path, settings_bytes), str(settings_path)))
        return AgentSpec(
            id=agent,
            digest=_digest({f"{agent}/{INSTRUCTIONS}": instructions_bytes, f"{agent}/{SETTINGS}": settings_bytes}),
            instructions=instructions,
            model=settings.model,
            tools=settings.tools,
            in_doubt=settings.in_doubt,
            max_tokens=settings.max_tokens,
            limits=Limits(**asdict(settings.limits)),
        )

    def _settings(self, document: Document) -> AgentSettings:
        settings = AgentSettings() if document.empty else document.convert(AgentSettings)
        self._check_model(settings.model, document)
        for index, tool in enumerate(settings.tools or ()):
            if tool not in self._tools:
                raise document.fault(f"there is no tool {tool!r}; there are {_list(self._tools)}", "tools", index)
        if settings.max_tokens is not None and not 0 < settings.max_tokens <= MAX_NUMBER:
            raise document.fault("it must be a number above 0", "max_tokens")
        for name, value in asdict(settings.limits).items():
            if not 0 < value <= MAX_NUMBER:
                raise document.fault("it must be a number above 0", "limits", name)
        return settings

    def _check_model(self, model: str | None, document: Document) -> None:
        if model is None:
            return
        provider, _, name = model.partition(":")
        if not name.strip():
            raise document.fault(f"write it as provider:model, as in offline:offline, not {model!r}", "model")
        if provider not in self._providers:
            reason = f"there is no provider {provider!r}; there are {_list(self._providers)}"
            raise document.fault(reason, "model")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be read: {error.strerror}; an agent needs this file") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes are too many; {MAX_BYTES} are allowed")
    return data


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: it is not UTF-8 text: {error.reason}") from error


def _digest(files: dict[str, bytes]) -> str:
    """Gives the SHA-256 of the files by name, lengths included, so that no two sets of files give the same bytes."""
    digest = sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{len(name.encode())}:{len(data)}:{name}".encode())
        digest.update(data)
    return digest.hexdigest()


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
