"""Looking at many heads: in portions, so that no reply holds the event loop up, and none spoils the others."""

import logging
from collections.abc import Sequence

from app.core.errors import StoreCorrupt
from app.core.keys import SessionKey
from app.stores.base import Heads
from app.stores.head import Head

log = logging.getLogger(__name__)

PORTION = 512
"""Heads in one reply: they are decoded in some milliseconds, during which nothing else happens here."""


async def look(heads: Heads, keys: Sequence[SessionKey]) -> dict[SessionKey, Head | None]:
    """Gives each session's head, None where there is no such session; one that cannot be read is left out."""
    looked: dict[SessionKey, Head | None] = {}
    for start in range(0, len(keys), PORTION):
        looked |= await _look(heads, keys[start : start + PORTION])
    return looked


async def _look(heads: Heads, keys: Sequence[SessionKey]) -> dict[SessionKey, Head | None]:
    try:
        found = await heads.peek(keys)
    except StoreCorrupt as error:
        if len(keys) > 1:
            half = len(keys) // 2
            return await _look(heads, keys[:half]) | await _look(heads, keys[half:])
        log.warning("the head of %s is passed over: %s", keys[0].encode(), error)
        return {}
    return {key: found.get(key) for key in keys}
