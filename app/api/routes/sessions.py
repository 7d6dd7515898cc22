"""Sessions: made, listed, read, deleted; their messages and events."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api.deps import (
    AgentInPath,
    Chatter,
    EngineDep,
    LastEventId,
    Reader,
    SessionInPath,
    json_only,
    refuse_query,
)
from app.api.openapi import event_answer, json_answer, problems
from app.api.responses import MsgspecResponse, session_path
from app.api.schemas.queries import EventsQuery, MessagesQuery, SessionsQuery
from app.api.schemas.requests import SessionRequest
from app.api.sse import EventStream
from app.engine.views import MessagePage, SessionPage, SessionView

router = APIRouter(tags=["sessions"], default_response_class=Response)

SESSION = "/agents/{agent}/sessions/{session}"


@router.get(
    "/sessions",
    summary="List sessions",
    responses={200: json_answer(SessionPage, "A page of sessions."), **problems("bad_cursor", "bad_request")},
)
async def list_sessions(engine: EngineDep, who: Reader, query: Annotated[SessionsQuery, Query()]) -> Response:
    """Gives the caller's own sessions, newest first."""
    return MsgspecResponse(await engine.sessions(who, query.agent, query.cursor, query.limit))


@router.post(
    "/agents/{agent}/sessions",
    summary="Create a session",
    dependencies=[Depends(json_only), Depends(refuse_query)],
    responses={
        201: json_answer(SessionView, "The session.", {"Location": "The session's path."}),
        **problems("agent_not_found"),
        **problems("session_exists"),
        **problems("unsupported_media_type"),
        **problems("draining", "store_unavailable"),
    },
    status_code=201,
)
async def create_session(
    engine: EngineDep, who: Chatter, agent: AgentInPath, body: SessionRequest | None = None
) -> Response:
    """The session exists, and is idle."""
    wanted = body or SessionRequest()
    view = await engine.create_session(who, agent, wanted.session_id, wanted.title, dict(wanted.metadata))
    return MsgspecResponse(view, 201, {"Location": session_path(view.agent, view.session_id)})


@router.get(
    SESSION,
    summary="Read a session",
    dependencies=[Depends(refuse_query)],
    responses={200: json_answer(SessionView, "The session."), **problems("session_not_found", "agent_not_found")},
)
async def read_session(engine: EngineDep, who: Reader, agent: AgentInPath, session: SessionInPath) -> Response:
    """Gives the session as it is now."""
    return MsgspecResponse(await engine.session(who, agent, session))


@router.delete(
    SESSION,
    summary="Delete a session",
    dependencies=[Depends(refuse_query)],
    responses={204: {"description": "It is gone."}, **problems("session_not_found", "agent_not_found")},
    status_code=204,
)
async def delete_session(engine: EngineDep, who: Chatter, agent: AgentInPath, session: SessionInPath) -> Response:
    """The session is gone with all that belongs to it; its run is cancelled."""
    await engine.delete_session(who, agent, session)
    return Response(status_code=204)


@router.get(
    SESSION + "/messages",
    summary="Read messages",
    responses={200: json_answer(MessagePage, "A page."), **problems("session_not_found", "agent_not_found")},
)
async def list_messages(
    engine: EngineDep,
    who: Reader,
    agent: AgentInPath,
    session: SessionInPath,
    query: Annotated[MessagesQuery, Query()],
) -> Response:
    """Gives the session's messages in order."""
    return MsgspecResponse(await engine.messages(who, agent, session, query.after, query.limit))


@router.get(
    SESSION + "/events",
    summary="Follow a session",
    responses={
        200: event_answer("The session's events, without end.", {"X-Session-Id": "The session's id, percent-encoded."}),
        **problems("bad_cursor", "bad_request"),
        **problems("session_not_found", "agent_not_found"),
    },
)
async def follow_session(
    engine: EngineDep,
    who: Reader,
    agent: AgentInPath,
    session: SessionInPath,
    query: Annotated[EventsQuery, Query()],
    last_event_id: LastEventId,
) -> Response:
    """Gives the session's events from the cursor on, of all its runs."""
    return EventStream(await engine.follow_session(who, agent, session, last_event_id or query.after))
