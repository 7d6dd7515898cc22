"""What a provider's refusals mean: which are worth another try, and when. Never with the key in them."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from app.core.errors import ModelError

MAX_MESSAGE = 500
"""Characters of the provider's text that go into our error."""

_RETRYABLE = frozenset({408, 409, 425, 429})


class _Detail(Struct, frozen=True):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Envelope(Struct, frozen=True):
    """The error object by the book is `error`; some servers say `message` or `detail` instead."""

    error: _Detail | str | None = None
    message: str | None = None
    detail: Any = None


_envelopes = msgspec.json.Decoder(_Envelope | tuple[_Envelope, ...])


def error_in_response(status: int, headers: Mapping[str, str], body: bytes, key: str | None) -> ModelError:
    """Gives the error for an answer that is not a stream."""
    detail = _read_body(body)
    retryable = _is_transient(status) and detail.code != "insufficient_quota"
    text = f"the provider answered {status} instead of a stream: {_clean(detail.message, key)}"
    return ModelError(text, retryable=retryable, retry_after=retry_after(headers))


def error_in_stream(error: object, key: str | None) -> ModelError:
    """Gives the error for the `error` of a chunk. It is worth another try unless the provider blames the request."""
    try:
        detail = msgspec.convert(error, _Detail)
    except msgspec.ValidationError:
        detail = _Detail(message=str(error))
    text = f"the provider broke off its answer: {_clean(detail.message, key)}"
    return ModelError(text, retryable=_may_pass(detail))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Gives the seconds to wait, from either form of `Retry-After` (RFC 9110, 10.2.3), or None.

    A date is taken relative to the answer's own `Date`, so that our clock need not agree with the provider's.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, headers.get("Date", ""))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(then: str, now: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError):
        return None


def _is_transient(status: int) -> bool:
    return status in _RETRYABLE or status >= 500


def _may_pass(detail: _Detail) -> bool:
    code = str(detail.code)
    return _is_transient(int(code)) if code.isdecimal() else detail.type != "invalid_request_error"


def _read_body(body: bytes) -> _Detail:
    try:
        read = _envelopes.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return _as_text(body)
    envelope = read if isinstance(read, _Envelope) else next(iter(read), _Envelope())
    if isinstance(envelope.error, _Detail):
        return envelope.error
    message = envelope.error or envelope.message or (envelope.detail and str(envelope.detail))
    return _Detail(message=message) if message else _as_text(body)


def _as_text(body: bytes) -> _Detail:
    return _Detail(message=body.decode("utf-8", "replace").strip())


def _clean(message: str | None, key: str | None) -> str:
    """Gives the text without the key, then bounded, so that no part of the key is left at the cut."""
    text = message or "it gives no reason"
    return (text.replace(key, "[key]") if key else text)[:MAX_MESSAGE]
