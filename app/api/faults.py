"""What nobody foresaw: logged in full, answered with nothing."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem

_logger = logging.getLogger(__name__)


class Faults:
    """ASGI middleware: an unforeseen exception is a logged 500, or the end of a response already begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request has its answer, unless the client left before it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception:
            _logger.exception("%s %r failed", scope["method"], scope["path"])
            if not started:
                await problem("internal")(scope, receive, send)
