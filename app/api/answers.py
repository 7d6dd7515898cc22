"""The three answers to an input: its stream, its result, or just that it was taken."""

from fastapi import Request, Response

from app.api.disconnect import unless_gone
from app.api.port import Engine, Stream
from app.api.responses import MsgspecResponse, run_headers
from app.api.schemas.queries import MAX_PAGE
from app.api.schemas.requests import RunRequest
from app.api.schemas.results import RunResult, result_of
from app.api.sse import EventStream
from app.auth.base import Principal
from app.engine.views import Accepted, Invocation


async def answer(
    engine: Engine,
    who: Principal,
    request: Request,
    body: RunRequest,
    invocation: Invocation,
    last_event_id: str | None,
) -> Response:
    """The input is in the log. Gives the answer that the body asks for; a client that leaves cancels nothing."""
    accepted = await engine.submit(who, invocation)
    if body.stream and not body.background:
        return EventStream(await _stream(engine, who, accepted, last_event_id))
    headers = run_headers(accepted.key, accepted.run_id)
    if body.background:
        return MsgspecResponse(await engine.run(who, accepted.run_id), 202, headers)
    result = await unless_gone(request.receive, _result(engine, who, accepted))
    return MsgspecResponse(result, headers=headers)


async def _stream(engine: Engine, who: Principal, accepted: Accepted, last_event_id: str | None) -> Stream:
    """Gives the run's stream; that of a request which came before goes on after what its client has seen."""
    if accepted.outcome == "attached" and last_event_id is not None:
        return await engine.follow_run(who, accepted.run_id, last_event_id, until_suspended=False)
    return await engine.follow_accepted(accepted)


async def _result(engine: Engine, who: Principal, accepted: Accepted) -> RunResult:
    run = await engine.finished(who, accepted.run_id)
    return result_of(run, await _output(engine, who, accepted))


async def _output(engine: Engine, who: Principal, accepted: Accepted) -> str:
    """Gives the text of the run's last answer. Runs follow each other, so the next one's answer ends the search."""
    output: str | None = None
    after: int | None = accepted.after
    while after is not None:
        page = await engine.messages(who, accepted.key.agent, accepted.key.session, after, MAX_PAGE)
        for view in page.messages:
            if view.run_id == accepted.run_id and view.message.role == "assistant":
                output = view.message.text()
            elif output is not None and view.message.role == "assistant":
                return output
        after = page.next
    return output or ""
