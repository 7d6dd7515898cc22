"""Inputs: to an agent, in a session that is named or made."""

from fastapi import APIRouter, Depends, Request, Response

from app.api.answers import answer
from app.api.deps import (
    AgentInPath,
    Chatter,
    EngineDep,
    IdempotencyKey,
    LastEventId,
    SessionInPath,
    json_only,
    refuse_query,
)
from app.api.intake import IntakeRoute
from app.api.openapi import PLACE_HEADERS, event_answer, json_answer, problems
from app.api.schemas.requests import ChatRequest, RunRequest
from app.api.schemas.results import RunResult
from app.engine.views import RunView

_events = event_answer("`stream`, the default: the run's events. Else its result.", PLACE_HEADERS)
_result = json_answer(RunResult, "", PLACE_HEADERS)

router = APIRouter(
    tags=["runs"],
    default_response_class=Response,
    route_class=IntakeRoute,
    dependencies=[Depends(json_only), Depends(refuse_query)],
    responses={
        200: {**_events, "content": {**_events["content"], **_result["content"]}},
        202: json_answer(RunView, "`background`: the input is in the log.", PLACE_HEADERS),
        **problems("bad_cursor", "bad_request"),
        **problems("agent_not_found"),
        **problems("session_busy"),
        **problems("unsupported_media_type"),
        **problems("invalid_input", "idempotency_mismatch"),
        **problems("queue_full"),
        **problems("draining", "store_unavailable"),
    },
)


@router.post("/chat", summary="Ask an agent")
async def chat(
    request: Request,
    engine: EngineDep,
    who: Chatter,
    body: ChatRequest,
    last_event_id: LastEventId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The input is in a session's log, and a run answers it. Without `session_id`, the session is a new one."""
    invocation = body.invocation(body.agent, body.session_id, idempotency_key)
    return await answer(engine, who, request, body, invocation, last_event_id)


@router.post("/agents/{agent}/sessions/{session}/runs", summary="Ask an agent in a session")
async def start_run(
    request: Request,
    engine: EngineDep,
    who: Chatter,
    agent: AgentInPath,
    session: SessionInPath,
    body: RunRequest,
    last_event_id: LastEventId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The input is in that session's log, and a run answers it. The session is made if it does not exist."""
    invocation = body.invocation(agent, session, idempotency_key)
    return await answer(engine, who, request, body, invocation, last_event_id)
