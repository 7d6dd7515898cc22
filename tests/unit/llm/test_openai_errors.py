"""What is made of a provider's refusals: whether to try again, when, and what is said."""

import json
from typing import Any

import pytest

from app.llm.openai_errors import error_in_response, error_in_stream, retry_after

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def body(error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_worth_another_try(status: int) -> None:
    assert error_in_response(status, {}, b"", None).retryable


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 413, 422])
def test_what_stays_is_not(status: int) -> None:
    assert not error_in_response(status, {}, b"", None).retryable


def test_a_used_up_quota_does_not_come_back_by_waiting() -> None:
    error = error_in_response(429, {}, body({"message": "pay first", "code": "insufficient_quota"}), None)
    assert not error.retryable


BODIES: dict[str, tuple[bytes, str]] = {
    "by the book": (body({"message": "No such model", "type": "x", "param": None, "code": "y"}), "No such model"),
    "a number as code": (body({"message": "No such model", "code": 404}), "No such model"),
    "a string": (body("No such model"), "No such model"),
    "no envelope": (b'{"object": "error", "message": "No such model"}', "No such model"),
    "detail": (b'{"detail": "Not Found"}', "Not Found"),
    "detail as a list": (b'{"detail": [{"loc": ["body"]}]}', "loc"),
    "in a list": (b'[{"error": {"message": "No such model"}}]', "No such model"),
    "an empty list": (b"[]", "[]"),
    "another object": (b'{"oops": true}', '{"oops": true}'),
    "wrong types": (b'{"error": {"message": 3}}', '{"error": {"message": 3}}'),
    "a page": (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
    "binary": (b"\xff\xfe", "\ufffd"),
    "nothing": (b"", "it gives no reason"),
    "no message": (body({"type": "x"}), "it gives no reason"),
}


@pytest.mark.parametrize("shape", BODIES)
def test_the_providers_words_are_found(shape: str) -> None:
    given, said = BODIES[shape]
    text = str(error_in_response(404, {}, given, None))
    assert said in text
    assert "404" in text


def test_the_message_is_bounded_and_never_holds_the_key_or_a_part_of_it() -> None:
    key = "sk-" + "k" * 60
    words = "x" * 470 + key + key
    for error in (
        error_in_response(401, {}, body({"message": words}), key),
        error_in_response(401, {}, words.encode(), key),
        error_in_stream({"message": words}, key),
        error_in_stream(words, key),
    ):
        assert "sk-k" not in str(error)
        assert "[key]" in str(error)
        assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        ({"message": "m", "type": "server_error"}, True),
        ({"message": "m", "code": 503}, True),
        ({"message": "m", "code": "429"}, True),
        ({"message": "m"}, True),
        ({"message": "m", "code": 400}, False),
        ({"message": "m", "type": "invalid_request_error"}, False),
        ("m", True),
        ([{"m": 1}], True),
    ],
)
def test_an_error_in_mid_stream_may_pass_unless_the_request_is_blamed(error: Any, retryable: bool) -> None:
    raised = error_in_stream(error, None)
    assert raised.retryable is retryable
    assert "m" in str(raised).removeprefix("the provider broke off its answer")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": DATE}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 +0000", "Date": DATE}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 -0000", "Date": DATE}, None),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:30 GMT", "Date": DATE}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
