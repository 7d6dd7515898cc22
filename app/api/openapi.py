"""The OpenAPI document: FastAPI's of the requests, msgspec's of the responses and events, in one."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import Struct

from app.api.errors import KINDS, Problem
from app.api.schemas.events import REFERENCE, event_schemas
from app.api.schemas.results import Health, RunResult
from app.engine.views import MessagePage, RunView, SessionPage, SessionView

Responses = dict[int | str, dict[str, Any]]

ANSWERS = (RunView, RunResult, SessionView, SessionPage, MessagePage, Health, Problem)

PLACE_HEADERS = {
    "X-Session-Id": "The session's id, percent-encoded.",
    "X-Run-Id": "The run's id.",
    "Location": "The run's path.",
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Gives the document of that application; the same one every time."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=app.description,
            routes=app.routes,
        )
        app.openapi_schema = _with_schemas(document)
    return app.openapi_schema


def _with_schemas(document: dict[str, Any]) -> dict[str, Any]:
    _, answers = msgspec.json.schema_components(ANSWERS, ref_template=REFERENCE)
    schemas = {**answers, **event_schemas(), **document["components"]["schemas"]}
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return msgspec.json.decode(msgspec.json.encode(document))


def reference(name: str) -> dict[str, str]:
    """Refers to a component."""
    return {"$ref": REFERENCE.format(name=name)}


def json_answer(kind: type[Struct], description: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Describes a JSON response."""
    content = {"application/json": {"schema": reference(kind.__name__)}}
    return {"description": description, "content": content, "headers": _headers(headers or {})}


def event_answer(description: str, headers: Mapping[str, str] = PLACE_HEADERS) -> dict[str, Any]:
    """Describes an SSE response, by the schema of its events."""
    content = {"text/event-stream": {"schema": reference("Event")}}
    return {"description": description, "content": content, "headers": _headers(headers)}


def problems(*codes: str) -> Responses:
    """Describes the problem responses of those codes, one per status."""
    return {status: _problem_answer(status, codes) for status in sorted({KINDS[code].status for code in codes})}


def _problem_answer(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    titles = [f"`{code}`: {KINDS[code].title}." for code in codes if KINDS[code].status == status]
    waits = any(KINDS[code].retry_after for code in codes if KINDS[code].status == status)
    headers = _headers({"Retry-After": "Seconds to wait."}) if waits else {}
    content = {"application/problem+json": {"schema": reference("Problem")}}
    return {"description": " ".join(titles), "content": content, "headers": headers}


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}
