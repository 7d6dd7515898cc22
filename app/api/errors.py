"""Every error as HTTP: one table from code to status, and RFC 9457 problem bodies.

A problem's `detail` is the error's own message below 500. From 500 on it says nothing of what happened inside.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from msgspec import Struct
from starlette.exceptions import HTTPException

from app.api.responses import MsgspecResponse
from app.core.errors import BatonError, SessionBusy
from app.core.ids import RunId

_logger = logging.getLogger(__name__)

MAX_FIELD_ERRORS = 16
MAX_ECHO = 200
"""Characters of a request that an answer repeats at most, per place."""


class Kind(Struct, frozen=True):
    """What HTTP makes of a code. `retry_after`: seconds after which the same request may succeed."""

    status: int
    title: str
    retry_after: int | None = None


INTERNAL = Kind(500, "The server failed; this is a bug")

KINDS: dict[str, Kind] = {
    "bad_request": Kind(400, "The request cannot be read"),
    "bad_cursor": Kind(400, "No such cursor or event id was ever given out"),
    "unauthenticated": Kind(401, "Authentication is needed"),
    "forbidden": Kind(403, "Not allowed"),
    "not_found": Kind(404, "There is nothing here"),
    "agent_not_found": Kind(404, "No such agent"),
    "session_not_found": Kind(404, "No such session"),
    "run_not_found": Kind(404, "No such run"),
    "blob_not_found": Kind(404, "No such blob"),
    "method_not_allowed": Kind(405, "The method is not allowed here"),
    "conflict": Kind(409, "The state is not what the request assumes"),
    "session_exists": Kind(409, "The session exists already"),
    "session_busy": Kind(409, "The session is busy"),
    "head_moved": Kind(409, "The session changed meanwhile; try again"),
    "content_too_large": Kind(413, "The body is too large"),
    "record_too_large": Kind(413, "An input is too large"),
    "unsupported_media_type": Kind(415, "The body must be JSON"),
    "invalid_input": Kind(422, "The request is not valid"),
    "idempotency_mismatch": Kind(422, "The idempotency key was used for another request"),
    "limit_reached": Kind(429, "A limit was reached", retry_after=5),
    "queue_full": Kind(429, "Too many runs wait in this session", retry_after=5),
    "headers_too_large": Kind(431, "The head of the request is too large"),
    "internal": INTERNAL,
    "unavailable": Kind(503, "Not available now", retry_after=2),
    "store_unavailable": Kind(503, "The store does not answer", retry_after=2),
    "store_busy": Kind(503, "Every connection to the store is in use", retry_after=2),
    "draining": Kind(503, "This replica is shutting down", retry_after=2),
    "replica_dead": Kind(503, "This replica lost its membership", retry_after=2),
}
"""Codes that are not here are nobody's business outside: they answer as `internal`."""

STATUS_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "content_too_large",
    415: "unsupported_media_type",
}
"""The codes of errors that the framework raises."""


class FieldError(Struct, frozen=True, kw_only=True):
    """What is wrong with one field of the request."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done (RFC 9457). `code` is stable; `run_id` names the run in the way."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    run_id: RunId | None = None
    errors: tuple[FieldError, ...] = ()


class ProblemResponse(MsgspecResponse):
    """A problem as its response."""

    media_type = "application/problem+json"


def problem(
    code: str,
    detail: str = "",
    *,
    run_id: RunId | None = None,
    errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Gives the response for that code. Unknown codes are `internal`; from 500 on, `detail` is the title."""
    code = code if code in KINDS else "internal"
    kind = KINDS[code]
    shown = kind.title if kind.status >= 500 or not detail else _bounded(detail, 2 * MAX_ECHO)
    body = Problem(
        type=f"urn:baton:problem:{code}",
        title=kind.title,
        status=kind.status,
        detail=shown,
        code=code,
        run_id=run_id,
        errors=errors,
    )
    return ProblemResponse(body, kind.status, _headers(kind) | dict(headers or {}))


def _headers(kind: Kind) -> dict[str, str]:
    headers = {} if kind.retry_after is None else {"Retry-After": str(kind.retry_after)}
    return headers | ({"WWW-Authenticate": "Bearer"} if kind.status == 401 else {})


async def answer_error(_: Request, error: BatonError) -> ProblemResponse:
    """Gives the problem of a BatonError; what the problem must not say is logged, of a bug also where it was."""
    status = KINDS.get(error.code, INTERNAL).status
    if status == 500:
        _logger.error("%s: %s", error.code, error, exc_info=error)
    elif status > 500:
        _logger.warning("%s: %s", error.code, error)
    return problem(error.code, str(error), run_id=error.run_id if isinstance(error, SessionBusy) else None)


async def answer_http(request: Request, error: HTTPException) -> ProblemResponse:
    """Gives the problem of an error that the framework raised."""
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problem(STATUS_CODES.get(error.status_code, "internal"), headers=headers)


async def answer_invalid(_: Request, error: RequestValidationError) -> ProblemResponse:
    """Gives the problem of a request that does not fit its schema, or is not JSON at all."""
    faults: Sequence[Mapping[str, Any]] = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return problem("bad_request", "the body is not valid JSON")
    fields = tuple(_field_error(fault) for fault in faults[:MAX_FIELD_ERRORS])
    return problem("invalid_input", f"{fields[0].msg} ({'.'.join(map(str, fields[0].loc))})", errors=fields)


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    loc = tuple(part if isinstance(part, int) else _bounded(str(part), MAX_ECHO) for part in fault["loc"])
    return FieldError(loc=loc, msg=_bounded(str(fault["msg"]), MAX_ECHO), type=str(fault["type"]))


def _bounded(text: str, limit: int) -> str:
    """Cuts, and replaces what UTF-8 cannot say: a field's name may hold a lone surrogate."""
    return text[:limit].encode("utf-8", "replace").decode()


def _methods(request: Request) -> set[str]:
    """Gives every method of the path: the router names only those of its first match."""
    routes = [
        route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(request.scope["path"])
    ]
    return {method for route in routes for method in route.methods or ()}
