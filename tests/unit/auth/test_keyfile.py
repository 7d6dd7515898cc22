"""Keys from a file: who holds one, who does not, and what becomes of a file that changes or breaks."""

import asyncio
import logging
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from app.auth.base import Principal
from app.auth.keyfile import KeyFileAuthenticator
from app.core.clock import SystemClock
from app.core.errors import ConfigError, Unauthenticated
from app.core.ids import ANONYMOUS, TenantId, UserId


def entry(key: str, **fields: str) -> str:
    rest = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    return f"- sha256: {sha256(key.encode()).hexdigest()}\n{rest}"


def written(path: Path, text: str) -> Path:
    """Gives the file with that text, visibly newer than before."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, "utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    text = entry("k-ann", tenant="acme", user="ann", name="laptop") + entry("k-svc", tenant="globex", scopes="[read]")
    return written(tmp_path / "keys.yaml", text)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer k-ann"},
        {"authorization": "bearer   k-ann "},
        {"x-api-key": "k-ann"},
        {"x-api-key": "k-ann", "authorization": "Basic Zm9v"},
        {"authorization": "Bearer k-ann", "host": "api.example", "origin": "https://other.example"},
    ],
)
def test_a_key_tells_who_calls(path: Path, headers: dict[str, str]) -> None:
    assert KeyFileAuthenticator(path).authenticate(headers) == Principal(TenantId("acme"), UserId("ann"))


def test_a_key_without_user_is_anonymous_and_keeps_its_scopes(path: Path) -> None:
    principal = KeyFileAuthenticator(path).authenticate({"x-api-key": "k-svc"})
    assert principal == Principal(TenantId("globex"), ANONYMOUS, frozenset({"read"}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic k-ann"},
        {"authorization": "k-ann"},
        {"x-api-key": "k-anN"},
        {"x-api-key": sha256(b"k-ann").hexdigest()},
        {"x-api-key": "k-ann\u00e9"},
        {"x-api-key": "\udcff"},
        {"x-api-key": "k" * 5000},
    ],
)
def test_anything_else_is_nobody(path: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthenticated) as caught:
        KeyFileAuthenticator(path).authenticate(headers)
    for value in headers.values():
        key = value.removeprefix("Bearer").strip() or "k-ann"
        assert key not in str(caught.value)
        assert key not in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ":1: the file holds no keys"),
        ("keys: []\n", ":1: "),
        ("- tenant: acme\n", ":1: 0: Object missing required field `sha256`"),
        (entry("a", tenant="acme") + "- sha256: short\n  tenant: acme\n", ":3: 1.sha256: "),
        (entry("a", tenant="acme", admin="true"), ":3: 0.admin: "),
        (entry("a", tenant="acme", scopes="[chatt]"), ":3: 0.scopes.0: "),
        (entry("a", tenant="acme") + entry("a", tenant="evil"), ":3: 1.sha256: this key is there twice"),
        (entry("a", tenant="''"), ":2: 0.tenant: a name has 1 to 128"),
        (entry("a", tenant="acme", user='"a\\nb"'), ":3: 0.user: a name has no control"),
        (entry("a", tenant="x" * 129), ":2: 0.tenant: "),
        (entry("a", tenant="_system"), ":2: 0.tenant: "),
        (entry("a", tenant="[acme"), ":3: "),
    ],
)
def test_a_malformed_file_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path / "keys.yaml", text)
    with pytest.raises(ConfigError) as caught:
        KeyFileAuthenticator(path)
    assert str(caught.value).startswith(f"{path}{reason}")


def test_a_file_that_is_missing_or_not_text_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BATON_KEYS_FILE"):
        KeyFileAuthenticator(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="BATON_KEYS_FILE"):
        KeyFileAuthenticator(tmp_path / "binary.yaml")


@pytest.mark.parametrize("name", ["ärzte/größe", "東京", "a b", "..", "👩\u200d🚀", "x" * 128])
def test_names_may_be_any_text(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "keys.yaml", entry("k", tenant=f'"{name}"', user=f'"{name}"'))
    assert KeyFileAuthenticator(path).authenticate({"x-api-key": "k"}) == Principal(TenantId(name), UserId(name))


def test_a_changed_file_counts_without_a_restart(path: Path) -> None:
    authenticator = KeyFileAuthenticator(path)
    written(path, entry("k-new", tenant="acme"))
    authenticator.refresh()
    assert authenticator.authenticate({"x-api-key": "k-new"}).tenant == "acme"
    with pytest.raises(Unauthenticated):
        authenticator.authenticate({"x-api-key": "k-ann"})


@pytest.mark.parametrize("text", ["- sha256: [\n", "", "- tenant: acme\n"])
def test_a_file_that_breaks_keeps_the_old_keys(path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    authenticator = KeyFileAuthenticator(path)
    written(path, text)
    authenticator.refresh()
    authenticator.refresh()
    assert authenticator.authenticate({"x-api-key": "k-ann"}).user == "ann"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    written(path, "[]\n")
    authenticator.refresh()
    with pytest.raises(Unauthenticated):
        authenticator.authenticate({"x-api-key": "k-ann"})


class OneLook(SystemClock):
    """Time that passes at once, once; `looked` is set when the second wait begins."""

    def __init__(self) -> None:
        self.waits = 0
        self.looked = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits += 1
        if self.waits > 1:
            self.looked.set()
            await asyncio.Event().wait()


async def test_the_file_is_watched(path: Path) -> None:
    authenticator, clock = KeyFileAuthenticator(path), OneLook()
    written(path, entry("k-new", tenant="acme"))
    watching = asyncio.create_task(authenticator.watch(clock))
    await asyncio.wait_for(clock.looked.wait(), 10)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert authenticator.authenticate({"x-api-key": "k-new"}).tenant == "acme"
