"""The outer bounds of a request: how large its head and body may be, and that its path means one thing only."""

from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import ProblemResponse, problem


class Bounds:
    """ASGI middleware: refuses what is too large, while it is read and whatever length it claims to have."""

    def __init__(self, app: ASGIApp, max_body: int, max_head: int) -> None:
        self._app = app
        self._max_body = max_body
        self._max_head = max_head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application has seen at most that much of the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body:
                raise HTTPException(413)
            return message

        await self._app(scope, bounded, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        head = len(scope["raw_path"]) + len(scope["query_string"])
        head += sum(len(name) + len(value) for name, value in scope["headers"])
        if head > self._max_head:
            return problem("headers_too_large", f"at most {self._max_head} bytes of path, query and headers are read")
        if any(name == b"content-length" and _exceeds(value, self._max_body) for name, value in scope["headers"]):
            return problem("content_too_large", f"at most {self._max_body} bytes are read")
        return _path_refusal(scope["raw_path"])


def _exceeds(length: bytes, limit: int) -> bool:
    return len(length) > 15 or (length.isdigit() and int(length) > limit)


def _path_refusal(raw_path: bytes) -> ProblemResponse | None:
    """Gives a problem for a path whose decoding would be lossy or would add a segment."""
    if b"%2f" in raw_path.lower():
        return problem("not_found", "no id contains a slash")
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return problem("bad_request", "the path is not UTF-8")
    return None
