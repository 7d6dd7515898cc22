"""API keys from a file: each one's SHA-256, with the tenant and the user it speaks for.

Neither Host nor Origin is checked here: a browser attaches no API key by itself, so a foreign page has none to send.
The file never holds a key, so reading it gives nobody access. `printf %s "$KEY" | sha256sum` makes an entry.
"""

import asyncio
import logging
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.auth.base import Principal
from app.core.clock import Clock
from app.core.documents import Document
from app.core.errors import ConfigError, Unauthenticated
from app.core.ids import ANONYMOUS, TenantId, UserId
from app.core.names import flaw

MAX_HEADER = 1024
"""Characters of a credential."""
RESERVED = frozenset({"_system"})
"""Tenants that are the server's own."""
LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class KeyEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key in the file. `name` is for people."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    tenant: str
    user: str = ANONYMOUS
    scopes: frozenset[Literal["chat", "read"]] = frozenset({"chat", "read"})
    name: str = ""

    def principal(self) -> Principal:
        """Gives who holds the key."""
        return Principal(tenant=TenantId(self.tenant), user=UserId(self.user), scopes=frozenset(self.scopes))


class KeyFileAuthenticator:
    """Knows callers by `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    def __init__(self, path: Path) -> None:
        """Reads the keys. Raises ConfigError, with file and line, if they cannot be read."""
        self._path = path
        self._stamp = _stamp(path)
        self._entries = _read(path)

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        digest = sha256(_key(headers).encode()).hexdigest()
        found = [entry for entry in self._entries if compare_digest(entry.sha256, digest)]
        if not found:
            raise Unauthenticated("this API key is not known here; it may have been revoked")
        return found[0].principal()

    async def watch(self, clock: Clock) -> None:
        """Never returns; a change of the file counts a second later, without a restart."""
        while True:
            await clock.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """The keys are the file's, if it changed and can be read; else they stay, and an error is logged once."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._entries = _read(self._path)
        except ConfigError:
            _log.exception("the old API keys stay in force")
        else:
            _log.info("%d API keys read from %s", len(self._entries), self._path)


def _key(headers: Mapping[str, str]) -> str:
    """Gives the key the caller sent. Raises Unauthenticated if there is none that could be one."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    key = credential.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not key:
        raise Unauthenticated("no API key; send `Authorization: Bearer <key>` or `X-API-Key: <key>`")
    if len(key) > MAX_HEADER or not key.isascii():
        raise Unauthenticated(f"that is no API key: one has at most {MAX_HEADER} ASCII characters")
    return key


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Gives what changes with the file, or None while it is absent."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> tuple[KeyEntry, ...]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the API keys cannot be read: {error}; see BATON_KEYS_FILE") from error
    document = Document(text, str(path))
    if document.empty:
        raise ConfigError(f"{path}:1: the file holds no keys; write a list of sha256 and tenant, or [] for none")
    entries = document.convert(tuple[KeyEntry, ...])
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.sha256 in seen:
            raise document.fault("this key is there twice", index, "sha256")
        seen.add(entry.sha256)
        for field, name in (("tenant", entry.tenant), ("user", entry.user)):
            if reason := flaw(name):
                raise document.fault(reason, index, field)
        if entry.tenant in RESERVED:
            raise document.fault("this name is the server's own; choose another", index, "tenant")
    return entries
