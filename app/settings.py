"""Every setting: a variable of the environment, or of a `.env` file in the working directory, each read here only.

`.env.example` lists the same names with the same defaults; a test compares them. What cannot be meant stops the start
with the variable, the reason and the fix.
"""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from app.core.errors import ConfigError
from app.stores.addresses import Store, store_at

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com/v1"
"""Anthropic's OpenAI-compatible endpoint (https://docs.anthropic.com/en/api/openai-sdk)."""
OPENAI_MODEL = "openai:gpt-5.4-mini"
ANTHROPIC_MODEL = "anthropic:claude-sonnet-4-6"
OFFLINE_MODEL = "offline:offline"
PROVIDERS = ("anthropic", "offline", "openai", "scripted")

_PREFIX = "BATON_"
_FOR_TESTS = "BATON_TEST_"
_ORIGIN = re.compile(r"https?://[^\s/?#@*]+")


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip().lower() for part in value.split(",") if part.strip())


def _setting(variable: str, default: object, meaning: str, **bounds: Any) -> Any:
    return Field(default=default, validation_alias=variable, description=meaning, **bounds)


class Settings(BaseSettings):
    """What the server was told. Made by `load`; a field's description completes "it is …" in an error."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        case_sensitive=True,
        env_ignore_empty=True,
        env_file=".env",
        dotenv_filtering="only_existing",
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    host: str = _setting(
        "BATON_HOST",
        "127.0.0.1",
        "the address to listen on; one that is not loopback needs BATON_KEYS_FILE",
        min_length=1,
    )
    port: int = _setting("BATON_PORT", 8000, "the port to listen on; 0 takes any free one", ge=0, le=65535)
    store_url: str | None = _setting(
        "BATON_STORE_URL",
        None,
        "where sessions are kept: sqlite:///path, redis://, rediss://, redis+cluster://, redis+sentinel://, "
        "postgresql:// or memory://; unset, baton.db in BATON_DATA_DIR",
        repr=False,
    )
    database_direct_url: str | None = _setting(
        "BATON_DATABASE_DIRECT_URL",
        None,
        "the way to a postgresql:// store past its transaction pooler, for LISTEN and heartbeats; "
        "unset, BATON_STORE_URL is direct",
        repr=False,
    )
    bus_url: str | None = _setting(
        "BATON_BUS_URL",
        None,
        "a Redis that carries what is live between the replicas of a postgresql:// store; unset, the database does",
        repr=False,
    )
    store_pool: int = _setting(
        "BATON_STORE_POOL", 16, "how many connections to the store this process opens at the most", ge=2, le=1000
    )
    store_wait: float = _setting(
        "BATON_STORE_WAIT", 5.0, "seconds that a request waits for one of them before it gets a 503", gt=0, le=60
    )
    data_dir: Path = _setting(
        "BATON_DATA_DIR",
        Path(".data"),
        "the directory of everything kept on this machine: the database and the workspaces",
    )
    agents_dir: Path = _setting(
        "BATON_AGENTS_DIR", Path("agents"), "the directory of the agents: <id>/agent.yaml and <id>/AGENTS.md each"
    )
    model: str | None = _setting(
        "BATON_MODEL",
        None,
        "the provider:model for agents that name none, of openai, anthropic, offline or scripted; unset, "
        f"by the key that is set: {OPENAI_MODEL}, {ANTHROPIC_MODEL}, else {OFFLINE_MODEL}",
    )
    openai_api_key: SecretStr | None = _setting("OPENAI_API_KEY", None, "the key for openai models")
    openai_base_url: str = _setting(
        "OPENAI_BASE_URL", OPENAI_URL, "where openai models are: any server that speaks OpenAI's chat completions"
    )
    anthropic_api_key: SecretStr | None = _setting("ANTHROPIC_API_KEY", None, "the key for anthropic models")
    keys_file: Path | None = _setting(
        "BATON_KEYS_FILE",
        None,
        "a YAML list of API keys: sha256, tenant and, if need be, user, scopes, name; unset, only this machine calls",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = _setting(
        "BATON_CORS_ORIGINS",
        (),
        "origins whose pages may call, separated by commas, like https://chat.example; * needs BATON_KEYS_FILE",
    )
    max_runs: int = _setting(
        "BATON_MAX_RUNS", 64, "how many runs this process works on at a time; more wait their turn", ge=1, le=10_000
    )
    drain_grace: float = _setting(
        "BATON_DRAIN_GRACE", 20.0, "seconds that a model call or an unsafe tool may take after SIGTERM", ge=0, le=3600
    )
    max_body_bytes: int = _setting(
        "BATON_MAX_BODY_BYTES", 1024 * 1024, "how large a request's body may be", ge=1024, le=64 * 1024 * 1024
    )
    script: Path | None = _setting("BATON_SCRIPT", None, "the YAML file that the scripted model plays (for tests)")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "BATON_LOG_LEVEL", "info", "the least important messages to log: debug, info, warning or error"
    )

    @property
    def store(self) -> Store:
        """Gives where sessions are kept."""
        return store_at(self.store_url, self.database_direct_url, self.bus_url, self.data_dir)

    @property
    def default_model(self) -> str:
        """Gives the `provider:model` that serves agents which name none."""
        if self.model is not None:
            return self.model
        if self.openai_key() is not None:
            return OPENAI_MODEL
        return OFFLINE_MODEL if self.anthropic_key() is None else ANTHROPIC_MODEL

    def openai_key(self) -> str | None:
        """Gives the key as the environment has it now, else as it was at the start; to be called for every request."""
        return _now("OPENAI_API_KEY", self.openai_api_key)

    def anthropic_key(self) -> str | None:
        """Gives the key as the environment has it now, else as it was at the start; to be called for every request."""
        return _now("ANTHROPIC_API_KEY", self.anthropic_api_key)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _ = self.store
        _check_url(self.openai_base_url)
        _check_exposure(self)
        _check_model(self)
        return self


def load(**overrides: Any) -> Settings:
    """Gives the settings; `overrides` are named like the variables and beat them. Raises ConfigError."""
    try:
        written = DotEnvSettingsSource(Settings).env_vars
        _refuse_unknown({*os.environ, *written, *overrides})
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f".env: it is not UTF-8 text: {error.reason}; write it anew") from error


def variables() -> dict[str, Any]:
    """Gives every variable there is, with its default."""
    return {str(field.validation_alias): field.default for field in Settings.model_fields.values()}


def _refuse_unknown(names: Iterable[str]) -> None:
    known = variables()
    for name in sorted(names):
        if name.startswith(_PREFIX) and not name.startswith(_FOR_TESTS) and name not in known:
            near = get_close_matches(name, known, n=1) or ["one of .env.example"]
            raise ConfigError(f"{name}: there is no such setting; did you mean {near[0]}?")


def _explain(error: ValidationError) -> str:
    """Gives the first thing that is wrong, without its value: the variable, the reason, and what it should be."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    variable = str(first["loc"][0])
    meanings = {str(field.validation_alias): field.description for field in Settings.model_fields.values()}
    return f"{variable}: {first['msg'][:1].lower() + first['msg'][1:]}; it is {meanings.get(variable)}"


def _now(name: str, at_start: SecretStr | None) -> str | None:
    key = os.environ.get(name, "").strip()
    return key or (at_start.get_secret_value().strip() if at_start is not None else "") or None


def _check_url(url: str) -> None:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", url):
        raise ConfigError(f"OPENAI_BASE_URL: it is no HTTP address; write it like {OPENAI_URL}, or leave it unset")


def _check_exposure(settings: Settings) -> None:
    for origin in settings.cors_origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"BATON_CORS_ORIGINS: {origin!r} is no origin; write it like https://chat.example")
    if settings.keys_file is not None:
        return
    if not _is_loopback(settings.host):
        raise ConfigError(
            f"BATON_HOST: {settings.host} can be reached from other machines, and without API keys anyone there could "
            "use the agents' tools; set BATON_KEYS_FILE, or BATON_HOST=127.0.0.1"
        )
    if "*" in settings.cors_origins:
        raise ConfigError(
            "BATON_CORS_ORIGINS: with * and without API keys any web page could use the agents' tools; name the "
            "origins, or set BATON_KEYS_FILE"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_model(settings: Settings) -> None:
    provider, _, name = settings.default_model.partition(":")
    if provider not in PROVIDERS or not name.strip():
        known = ", ".join(PROVIDERS)
        raise ConfigError(f"BATON_MODEL: write it as provider:model, as in {OPENAI_MODEL}; the providers are {known}")
    own_server = settings.openai_base_url.rstrip("/") != OPENAI_URL
    if provider == "openai" and settings.openai_key() is None and not own_server:
        raise ConfigError("BATON_MODEL: openai models need OPENAI_API_KEY; set it, or BATON_MODEL=offline:offline")
    if provider == "anthropic" and settings.anthropic_key() is None:
        raise ConfigError(
            "BATON_MODEL: anthropic models need ANTHROPIC_API_KEY; set it, or BATON_MODEL=offline:offline"
        )
    if provider == "scripted" and settings.script is None:
        raise ConfigError("BATON_MODEL: the scripted model needs BATON_SCRIPT, the path of the script it plays")
