"""What routes depend on: the engine, the caller, and ids taken from paths and headers."""

import re
from typing import Annotated, cast

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException

from app.api.openapi import problems
from app.api.port import Engine
from app.api.schemas.ids import AGENT_PATTERN, RUN_PATTERN, SessionName, is_agent_id, is_run_id
from app.api.schemas.queries import NoQuery
from app.auth.base import Authenticator, Principal
from app.core.errors import AgentNotFound, BadCursor, Forbidden, RunNotFound
from app.core.ids import AgentId, RunId

COMMON_PROBLEMS = problems(
    "bad_request",
    "unauthenticated",
    "forbidden",
    "content_too_large",
    "invalid_input",
    "headers_too_large",
    "internal",
    "store_unavailable",
    "store_busy",
)
"""What any route under /v1 may answer."""

_visible = re.compile(r"[!-~]{1,256}\Z")


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


async def authenticate(request: Request) -> Principal:
    """Gives the caller, or raises. Repeated headers are joined: no proof hides behind another."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return cast("Authenticator", request.app.state.authenticator).authenticate(headers)


Caller = Annotated[Principal, Depends(authenticate)]


async def _reader(who: Caller) -> Principal:
    return having(who, "read")


async def _chatter(who: Caller) -> Principal:
    return having(who, "chat")


def having(who: Principal, scope: str) -> Principal:
    """Gives the caller. Raises Forbidden without that scope."""
    if scope not in who.scopes:
        raise Forbidden(f"the scope {scope!r} is needed")
    return who


async def _agent(agent: Annotated[str, Path(json_schema_extra={"pattern": AGENT_PATTERN})]) -> AgentId:
    if not is_agent_id(agent):
        raise AgentNotFound("no agent can be called that")
    return AgentId(agent)


async def _run(run: Annotated[str, Path(json_schema_extra={"pattern": RUN_PATTERN})]) -> RunId:
    if not is_run_id(run):
        raise RunNotFound("no run can be called that")
    return RunId(run)


async def _last_event_id(
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last event seen; wins over `after`.")
    ] = None,
) -> str | None:
    if last_event_id and not _visible.match(last_event_id):
        raise BadCursor("Last-Event-ID is not an id that this server gave out")
    return last_event_id or None


async def refuse_query(_: Annotated[NoQuery, Query()]) -> None:
    """The request has no query, or is refused."""


async def json_only(request: Request) -> None:
    """The body, if there is one, says that it is JSON, and is UTF-8. So no form of a foreign page can send it."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise HTTPException(415)
    if not _is_utf8(body):
        raise HTTPException(400)


def _is_utf8(body: bytes) -> bool:
    """Says whether the JSON is UTF-8 (RFC 8259, 8.1): its parser takes UTF-16 and UTF-32 too, which show by NULs."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


EngineDep = Annotated[Engine, Depends(_engine)]
Reader = Annotated[Principal, Depends(_reader)]
Chatter = Annotated[Principal, Depends(_chatter)]
AgentInPath = Annotated[AgentId, Depends(_agent)]
RunInPath = Annotated[RunId, Depends(_run)]
SessionInPath = Annotated[SessionName, Path()]
LastEventId = Annotated[str | None, Depends(_last_event_id)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same request again, with the same key, is the same run. Remembered for 24 hours.",
    ),
]
bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key, where keys are configured.")
api_key = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api_key", description="The same, elsewhere.")
"""Both are for the schema only: `authenticate` decides."""
