"""Identifiers: their types, their shapes, and where fresh ones come from."""

import base64
import secrets
from hashlib import sha256
from typing import NewType, Protocol

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
AgentId = NewType("AgentId", str)
SessionId = NewType("SessionId", str)
RunId = NewType("RunId", str)
"""`run_<16 hex digits of the session key's digest>_<token>`: it names its session and partition."""
ItemId = NewType("ItemId", str)
"""`run:step:index`: a message (index 0) or one of its calls (index 1, 2, …)."""
CallId = NewType("CallId", str)
"""The id a provider sees for a call: derived from the item's, so it is unique and never guessed."""
Incarnation = NewType("Incarnation", str)
"""One life of one replica."""
Nonce = NewType("Nonce", str)
"""The random half of a claim; chosen by the claimant, so that a repeated request is recognised."""
Birth = NewType("Birth", str)
"""A log's random token: another one means another log, even under the same key."""

DRAWN_BYTES = 800
"""Of randomness at a time: 64 tokens, without a remainder."""
ANONYMOUS = UserId("_default")


class Ids(Protocol):
    """Where fresh, unguessable tokens come from. Injected, so that a test may count instead."""

    def token(self) -> str:
        """Gives a new token of lower-case letters and digits, at least 96 bits of it."""
        ...


class RandomIds:
    """Tokens from the operating system's generator, which is asked for many at a time."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def token(self) -> str:
        """Gives 20 base32 characters (100 bits)."""
        if not self._drawn:
            characters = base64.b32encode(secrets.token_bytes(DRAWN_BYTES)).decode().lower()
            self._drawn = [characters[i : i + 20] for i in range(0, len(characters), 20)]
        return self._drawn.pop()


def item_id(run: RunId, step: int, index: int) -> ItemId:
    """Names an item before its first delta."""
    return ItemId(f"{run}:{step}:{index}")


def call_id(item: ItemId) -> CallId:
    """Names a call to a provider: 29 characters, legal for every provider we know."""
    return CallId("call_" + sha256(item.encode()).hexdigest()[:24])
