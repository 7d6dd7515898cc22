"""The openai provider: chat completions by base URL, as OpenAI and the many servers compatible with it speak them."""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, Callable, Sequence

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, InvalidURL, NonHttpUrlClientError

from app.core.errors import ModelError
from app.llm.base import ModelEvent, ModelRequest
from app.llm.openai_answer import Answer
from app.llm.openai_errors import error_in_response
from app.llm.openai_wire import encode_request
from app.llm.patience import PatientReader

_BROKEN = (ClientError, TimeoutError, OSError)
_MAX_ERROR_BYTES = 64 * 1024
_DRAIN = 0.05
"""Seconds to wait for the end of the body behind `[DONE]`: then the connection can be used again."""


class OpenAIModel:
    """Answers over a shared session. `key` is read for every request, so a rotated key needs no restart.

    Times are in seconds: `connect` until there is a connection, `first_byte` from the request until the first byte of
    its answer, `idle` between two bytes from then on.
    """

    def __init__(
        self,
        session: ClientSession,
        base_url: str,
        key: Callable[[], str | None],
        *,
        connect: float = 10.0,
        first_byte: float = 60.0,
        idle: float = 60.0,
    ) -> None:
        self._session = session
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._key = key
        self._timeout = ClientTimeout(total=None, connect=connect)
        self._first_byte = first_byte
        self._idle = idle

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        key = self._key()
        answer = Answer(key)
        async with await self._post(encode_request(request), key) as response:
            await self._check(response, key)
            with PatientReader(response.content, self._first_byte, self._idle) as body:
                while not answer.done:
                    events = await _take(body, answer)
                    if events:
                        yield events
            await _drain(response)

    async def _post(self, body: bytes, key: str | None) -> ClientResponse:
        try:
            async with asyncio.timeout(self._first_byte):
                return await self._session.post(
                    self._url,
                    data=io.BytesIO(body),
                    headers=_headers(key),
                    timeout=self._timeout,
                    allow_redirects=False,
                )
        except (InvalidURL, NonHttpUrlClientError) as error:
            raise ModelError(f"the provider's base URL is not one: {error}") from error
        except _BROKEN as error:
            raise _broken(error) from error

    async def _check(self, response: ClientResponse, key: str | None) -> None:
        if response.status == 200 and response.content_type != "application/json":
            return
        body = bytearray()
        with contextlib.suppress(*_BROKEN):
            async with asyncio.timeout(self._idle):
                while len(body) < _MAX_ERROR_BYTES and (piece := await response.content.readany()):
                    body += piece
        raise error_in_response(response.status, response.headers, bytes(body), key)


async def _take(body: PatientReader, answer: Answer) -> list[ModelEvent]:
    """Gives the events of the next read. A connection lost behind the answer's last word does no harm."""
    answer.check()
    try:
        piece = await body.read()
    except _BROKEN as error:
        if not answer.whole:
            raise _broken(error) from error
        piece = b""
    return answer.feed(piece) if piece else answer.close()


async def _drain(response: ClientResponse) -> None:
    if not response.content.at_eof():
        with contextlib.suppress(*_BROKEN):
            async with asyncio.timeout(_DRAIN):
                await response.content.readany()


def _headers(key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}
    if not key:
        return headers
    if not (key.isascii() and key.isprintable()):
        raise ModelError("the provider's key has characters that no header can carry; look for a stray line break")
    return headers | {"Authorization": f"Bearer {key}"}


def _broken(error: Exception) -> ModelError:
    if isinstance(error, TimeoutError):
        return ModelError("the provider did not answer in time", retryable=True)
    return ModelError(f"the connection to the provider failed: {str(error) or type(error).__name__}", retryable=True)
