"""What the server is told, where it comes from, and what is refused with the variable, the reason and the fix."""

import os
from pathlib import Path
from typing import assert_never

import pytest

from app.core.errors import ConfigError
from app.settings import ANTHROPIC_MODEL, OPENAI_MODEL, load, variables
from app.stores.addresses import MemoryStore, PostgresStore, RedisStore, SqliteStore, Store


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set, and there is no `.env`."""
    for name in [name for name in os.environ if name in variables() or name.startswith("BATON_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_with_nothing_set_it_serves_offline_on_this_machine() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.store == SqliteStore(Path(".data/baton.db"))
    assert settings.default_model == "offline:offline"
    assert (settings.max_runs, settings.drain_grace, settings.max_body_bytes) == (64, 20.0, 1024 * 1024)


def test_overrides_beat_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("BATON_PORT=1\nBATON_HOST=localhost\nBATON_MAX_RUNS=7\nPOSTGRES_PASSWORD=other\n")
    monkeypatch.setenv("BATON_PORT", "2")
    monkeypatch.setenv("BATON_HOST", "::1")
    settings = load(BATON_PORT=3)
    assert (settings.port, settings.host, settings.max_runs) == (3, "::1", 7)


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    assert load().default_model == "offline:offline"


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("memory://", MemoryStore()),
        ("sqlite:///some/where.db", SqliteStore(Path("some/where.db"))),
        ("sqlite:////var/lib/baton/a b.db", SqliteStore(Path("/var/lib/baton/a b.db"))),
        ("redis://localhost:6379/0", RedisStore("redis://localhost:6379/0")),
        ("rediss://:pass%40@h", RedisStore("rediss://:pass%40@h")),
        ("redis+cluster://a:1,b:2", RedisStore("redis+cluster://a:1,b:2")),
        ("redis+sentinel://a:1,b/main/3", RedisStore("redis+sentinel://a:1,b/main/3")),
        ("postgresql://u:p@h:5432/d", PostgresStore("postgresql://u:p@h:5432/d")),
        ("postgresql://u@h1:1,h2:2/d", PostgresStore("postgresql://u@h1:1,h2:2/d")),
        ("postgresql:///d?host=/run/postgresql", PostgresStore("postgresql:///d?host=/run/postgresql")),
    ],
)
def test_a_store_is_one_of_those_there_are(url: str, store: Store) -> None:
    found = load(BATON_STORE_URL=url).store
    assert found == store
    match found:
        case SqliteStore() | MemoryStore() | RedisStore() | PostgresStore():
            pass
        case _:
            assert_never(found)


@pytest.mark.parametrize(
    "url",
    ["mysql://u:secret@h", "postgres://u:secret@h/d", "sqlite://", "sqlite:///", "sqlite:///dir/", "sqlite://host/x",
     "sqlite:///:memory:", "sqlite:///x?mode=ro", "memory://x", "baton.db", "://", "SQLITE"],
)  # fmt: skip
def test_any_other_store_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"BATON_STORE_URL: .*sqlite:///") as caught:
        load(BATON_STORE_URL=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret@h", "no address of a PostgreSQL database"),
        ("postgresql://u:secret@h:port/d", "no address of a PostgreSQL database"),
        ("postgresql://u:secret@h1,:1/d", "no address of a PostgreSQL database"),
        ("postgresql://u:sec/secret@h/d", "no address of a PostgreSQL database"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_and_its_password_not_shown(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"BATON_STORE_URL: .*{reason}.*; write ") as caught:
        load(BATON_STORE_URL=url)
    assert "secret" not in str(caught.value)


def test_no_text_of_the_settings_shows_a_password() -> None:
    postgres = load(
        BATON_STORE_URL="postgresql://u:secret@h/d",
        BATON_DATABASE_DIRECT_URL="postgresql://u:secret@h:1/d",
        BATON_BUS_URL="redis://:secret@h",
    )
    redis = load(BATON_STORE_URL="redis://:secret@h")
    for told in (postgres, redis):
        assert "secret" not in f"{told} {told!r} {told.store} {told.store!r}"


def test_a_database_may_have_a_direct_way_and_a_bus() -> None:
    store = PostgresStore("postgresql://h:6432/d", "postgresql://h:5432/d", "redis://h")
    variables = {"BATON_DATABASE_DIRECT_URL": store.direct_url, "BATON_BUS_URL": store.bus_url}
    assert load(BATON_STORE_URL=store.url, **variables).store == store


@pytest.mark.parametrize("variable", ["BATON_DATABASE_DIRECT_URL", "BATON_BUS_URL"])
@pytest.mark.parametrize("url", [None, "memory://", "redis://h", "sqlite:///x.db"])
def test_what_belongs_to_a_database_is_refused_without_one(variable: str, url: str | None) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: it belongs to a postgresql:// store.* unset it"):
        load(BATON_STORE_URL=url, **{variable: "redis://h"})


@pytest.mark.parametrize(("variable", "value"), [("BATON_DATABASE_DIRECT_URL", "h/d"), ("BATON_BUS_URL", "nats://h")])
def test_a_way_that_leads_nowhere_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: it is no address of"):
        load(BATON_STORE_URL="postgresql://h/d", **{variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("BATON_PORT", "http", "BATON_PORT: input should be a valid integer"),
        ("BATON_PORT", "65536", "BATON_PORT: input should be less than or equal to 65535; it is the port"),
        ("BATON_MAX_RUNS", "0", "BATON_MAX_RUNS: "),
        ("BATON_DRAIN_GRACE", "-1", "BATON_DRAIN_GRACE: "),
        ("BATON_DRAIN_GRACE", "nan", "BATON_DRAIN_GRACE: "),
        ("BATON_MAX_BODY_BYTES", "10", "BATON_MAX_BODY_BYTES: "),
        ("BATON_LOG_LEVEL", "loud", "BATON_LOG_LEVEL: input should be 'debug', 'info'"),
        ("BATON_CORS_ORIGINS", "https://a.example, b.example", "BATON_CORS_ORIGINS: 'b.example' is no origin"),
        ("BATON_CORS_ORIGINS", "https://a.example/path", "BATON_CORS_ORIGINS: "),
        ("BATON_CORS_ORIGINS", "null", "BATON_CORS_ORIGINS: "),
        ("BATON_CORS_ORIGINS", "*", "BATON_CORS_ORIGINS: with \\* and without API keys"),
        ("OPENAI_BASE_URL", "localhost:1234", "OPENAI_BASE_URL: it is no HTTP address"),
        ("BATON_MODEL", "gpt-5", "BATON_MODEL: write it as provider:model"),
        ("BATON_MODEL", "openai:", "BATON_MODEL: write it as provider:model"),
        ("BATON_MODEL", "openia:gpt-5", "BATON_MODEL: .*the providers are anthropic, offline, openai, scripted"),
        ("BATON_MODEL", "openai:gpt-5", "BATON_MODEL: openai models need OPENAI_API_KEY"),
        ("BATON_MODEL", "anthropic:claude", "BATON_MODEL: anthropic models need ANTHROPIC_API_KEY"),
        ("BATON_MODEL", "scripted:x", "BATON_MODEL: the scripted model needs BATON_SCRIPT"),
    ],
)
def test_what_cannot_be_meant_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"^{reason}") as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["environment", "file", "override"])
def test_a_misspelt_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    overrides = {"BATON_STOREURL": "memory://"} if where == "override" else {}
    if where == "environment":
        monkeypatch.setenv("BATON_STOREURL", "memory://")
    if where == "file":
        Path(".env").write_text("BATON_STOREURL=memory://\n")
    with pytest.raises(ConfigError, match=r"^BATON_STOREURL: .* did you mean BATON_STORE_URL"):
        load(**overrides)


def test_variables_of_the_tests_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_TEST_REQUIRE", "all")
    assert load()


def test_a_file_that_is_not_text_is_named() -> None:
    Path(".env").write_bytes(b"BATON_PORT=\xff\n")
    with pytest.raises(ConfigError, match=r"^\.env: it is not UTF-8"):
        load()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example"])
def test_trap_open_port_without_authentication(host: str, tmp_path: Path) -> None:
    """Servers of this kind listen on 0.0.0.0 and let anyone in; this one asks for API keys first."""
    with pytest.raises(ConfigError, match=r"^BATON_HOST: .*BATON_KEYS_FILE"):
        load(BATON_HOST=host)
    assert load(BATON_HOST=host, BATON_KEYS_FILE=str(tmp_path / "keys.yaml")).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert load(BATON_HOST=host).keys_file is None


def test_origins_are_a_list() -> None:
    settings = load(BATON_CORS_ORIGINS="https://A.example , http://localhost:5173,", BATON_KEYS_FILE="keys.yaml")
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert load(BATON_CORS_ORIGINS="*", BATON_KEYS_FILE="keys.yaml").cors_origins == ("*",)


@pytest.mark.parametrize(
    ("variables", "model"),
    [
        ({"OPENAI_API_KEY": "k"}, OPENAI_MODEL),
        ({"ANTHROPIC_API_KEY": "k"}, ANTHROPIC_MODEL),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, OPENAI_MODEL),
        ({"OPENAI_API_KEY": "k", "BATON_MODEL": "offline:offline"}, "offline:offline"),
        ({"BATON_MODEL": "openai:llama3:8b", "OPENAI_BASE_URL": "http://localhost:11434/v1"}, "openai:llama3:8b"),
        ({"BATON_MODEL": "scripted:x", "BATON_SCRIPT": "script.yaml"}, "scripted:x"),
    ],
)
def test_the_model_is_the_named_one_or_follows_the_key(variables: dict[str, str], model: str) -> None:
    assert load(**variables).default_model == model


def test_keys_are_read_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("ANTHROPIC_API_KEY=from-file\n")
    monkeypatch.setenv("OPENAI_API_KEY", "first")
    settings = load()
    assert (settings.openai_key(), settings.anthropic_key()) == ("first", "from-file")
    monkeypatch.setenv("OPENAI_API_KEY", " second\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "newer")
    assert (settings.openai_key(), settings.anthropic_key()) == ("second", "newer")


def test_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    settings = load()
    assert "sk-very-secret" not in f"{settings!r}{settings}{settings.model_dump_json()}"
    monkeypatch.setenv("BATON_PORT", "x")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "sk-very-secret" not in str(caught.value)
    assert caught.value.__suppress_context__
