"""Runs: what became of them, their events, and their cancellation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api.deps import Chatter, EngineDep, LastEventId, Reader, RunInPath, refuse_query
from app.api.openapi import event_answer, json_answer, problems
from app.api.responses import MsgspecResponse
from app.api.schemas.queries import RunEventsQuery
from app.api.sse import EventStream
from app.engine.views import RunView

router = APIRouter(
    prefix="/runs/{run}", tags=["runs"], default_response_class=Response, responses=problems("run_not_found")
)


@router.get(
    "",
    summary="Read a run",
    dependencies=[Depends(refuse_query)],
    responses={200: json_answer(RunView, "The run.")},
)
async def read_run(engine: EngineDep, who: Reader, run: RunInPath) -> Response:
    """Gives the run as it is now."""
    return MsgspecResponse(await engine.run(who, run))


@router.post(
    "/cancel",
    summary="Cancel a run",
    dependencies=[Depends(refuse_query)],
    responses={200: json_answer(RunView, "The run; it stops soon, or had finished before.")},
)
async def cancel_run(engine: EngineDep, who: Chatter, run: RunInPath) -> Response:
    """The run will stop; one that has finished stays as it is."""
    return MsgspecResponse(await engine.cancel(who, run))


@router.get(
    "/events",
    summary="Follow a run",
    responses={200: event_answer("The run's events, up to `run.finished`."), **problems("bad_cursor", "bad_request")},
)
async def follow_run(
    engine: EngineDep,
    who: Reader,
    run: RunInPath,
    query: Annotated[RunEventsQuery, Query()],
    last_event_id: LastEventId,
) -> Response:
    """Gives the run's events from the cursor on. Leaving does not cancel the run."""
    cursor = last_event_id or query.after
    return EventStream(await engine.follow_run(who, run, cursor, query.until == "suspended"))
