"""The short way of an input to its endpoint, for requests that are as they should be.

FastAPI calls a dozen dependencies for an input, and that costs more CPU than all the rest of its way into the log. So a
request with nothing unusual in it is read here. Whatever is unusual, or wrong, goes FastAPI's own way from the start:
the signatures of the endpoints alone say what is refused, with which words, and what the document says.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.api.deps import authenticate, having, json_only
from app.api.schemas.ids import SessionName, is_agent_id
from app.api.schemas.requests import RunRequest

_UNUSUAL = {b"idempotency-key", b"last-event-id"}
_session = TypeAdapter[str](SessionName)

Handler = Callable[[Request], Awaitable[Response]]


class IntakeRoute(APIRoute):
    """A route whose endpoint takes an input."""

    def get_route_handler(self) -> Handler:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gives what answers a request."""
        at_length, endpoint = super().get_route_handler(), self.endpoint
        kind: type[RunRequest] = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            values = await _read(request, kind)
            return await (at_length(request) if values is None else endpoint(**values))

        return handle


async def _read(request: Request, kind: type[RunRequest]) -> dict[str, Any] | None:
    """Gives the endpoint's arguments, or None if the request is not as usual. Raises what its dependencies raise."""
    scope = request.scope
    if scope["query_string"] or any(name in _UNUSUAL for name, _ in scope["headers"]):
        return None
    await json_only(request)
    try:
        place = _place(request.path_params)
        body = kind.model_validate(json.loads(await request.body()))
    except (ValueError, RecursionError):
        return None
    who = having(await authenticate(request), "chat")
    engine = request.app.state.engine
    return {"request": request, "engine": engine, "who": who, "body": body, "last_event_id": None, **place}


def _place(found: dict[str, str]) -> dict[str, str]:
    """Gives the agent and the session that the path names, if it names any. Raises ValueError."""
    if not found:
        return {}
    if not is_agent_id(found["agent"]):
        raise ValueError
    return {"agent": found["agent"], "session": _session.validate_python(found["session"])}
