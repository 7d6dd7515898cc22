"""The queries that routes take: an unknown parameter is refused, not ignored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.schemas.ids import AgentName

MAX_PAGE = 200

Seq = Annotated[int, Field(ge=0, le=10**18 - 1, description="A place in the session's log.")]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE)]


class NoQuery(BaseModel):
    """No parameters at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionsQuery(NoQuery):
    """A page of sessions."""

    agent: AgentName | None = None
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    limit: Limit = 50


class MessagesQuery(NoQuery):
    """A page of messages."""

    after: Seq = 0
    limit: Limit = 50


class EventsQuery(NoQuery):
    """Where a stream begins. `Last-Event-ID` wins over it."""

    after: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=200),
        Field(description="An event id, or the bare `seq` of a record. `Last-Event-ID` wins over it."),
    ] = None


class RunEventsQuery(EventsQuery):
    """Where a run's stream begins and ends."""

    until: Annotated[Literal["suspended"] | None, Field(description="End the stream when the run is suspended.")] = None
