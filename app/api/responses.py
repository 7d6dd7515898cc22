"""Responses whose bodies are msgspec values, and the headers that say where things are."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import Response

from app.core.ids import AgentId, RunId, SessionId
from app.core.keys import SessionKey

_encoder = msgspec.json.Encoder()

JSON_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every JSON body: it is nobody's page, and in nobody's cache."""


class MsgspecResponse(Response):
    """A msgspec value as JSON."""

    media_type = "application/json"

    def __init__(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(_encoder.encode(value), status, {**JSON_HEADERS, **(headers or {})})


def session_headers(key: SessionKey) -> dict[str, str]:
    """Names the session, percent-encoded as in a path: ids may be any Unicode, headers may not."""
    return {"X-Session-Id": quote(key.session, safe="")}


def run_headers(key: SessionKey, run_id: RunId) -> dict[str, str]:
    """Names the session and the run, and says where the run is."""
    return {**session_headers(key), "X-Run-Id": run_id, "Location": f"/v1/runs/{run_id}"}


def session_path(agent: AgentId, session: SessionId) -> str:
    """Says where a session is."""
    return f"/v1/agents/{agent}/sessions/{quote(session, safe='')}"
