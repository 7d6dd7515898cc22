"""Log lines can be read: by programs, or by people on a terminal."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.observability.logging import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loggers are as they were, whatever a test made of them."""
    monkeypatch.setenv("NO_COLOR", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_line_is_one_json_object() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("app.x").debug("not shown")
    try:
        raise ValueError("inner\nlines")
    except ValueError:
        logging.getLogger("app.x").exception("größe %d\nnext", 3)
    (record,) = lines(stream)
    assert list(record) == ["time", "level", "logger", "message", "exception"]
    assert (record["level"], record["logger"], record["message"]) == ("error", "app.x", "größe 3\nnext")
    assert record["time"].endswith("+00:00")
    assert "ValueError: inner" in record["exception"]


def test_both_front_ends_write_the_same() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("app.x").warning("swept", extra={"sessions": 3, "dead": "i1"})
    structlog.get_logger("app.x").warning("swept", sessions=3, dead="i1")
    structlog.get_logger("app.x").debug("not shown")
    first, second = lines(stream)
    assert first | {"time": 0} == second | {"time": 0}
    assert first | {"time": 0} == {
        "time": 0,
        "level": "warning",
        "logger": "app.x",
        "message": "swept",
        "sessions": 3,
        "dead": "i1",
    }


def test_no_field_passes_for_another() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("app.x").info("said", extra={"level": "critical", "logger": "root", "time": 0, "event": "e"})
    (record,) = lines(stream)
    assert (record["level"], record["logger"], record["message"]) == ("info", "app.x", "said")
    assert record["time"] != 0


def test_any_value_can_be_written() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("app.x").info("odd", extra={"bytes": b"\x00", "set": {1}, "thing": object, "nul": "a\x00\u2028b"})
    (record,) = lines(stream)
    assert record["nul"] == "a\x00\u2028b"


def test_warnings_are_lines_too() -> None:
    stream = io.StringIO()
    configure("info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("careful", UserWarning, "file.py", 1)
    (record,) = lines(stream)
    assert (record["level"], record["logger"]) == ("warning", "py.warnings")


def test_a_traceback_shows_no_values(caplog: pytest.LogCaptureFixture) -> None:
    for stream in (io.StringIO(), Terminal()):
        configure("info", stream)
        try:
            what_somebody_said = "secret".upper()
            raise ValueError(len(what_somebody_said))
        except ValueError:
            logging.getLogger("app.x").exception("failed")
        assert "ValueError: 6" in stream.getvalue()
        assert "SECRET" not in stream.getvalue()


def test_a_terminal_gets_plain_text() -> None:
    stream = Terminal()
    configure("debug", stream)
    logging.getLogger("app.x").debug("hello", extra={"sessions": 3})
    (line,) = stream.getvalue().splitlines()
    time, rest = line.split(" ", 1)
    assert time.endswith("+00:00")
    assert rest.split() == ["[debug", "]", "hello", "[app.x]", "sessions=3"]


def test_configuring_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", first)
    configure("warning", second)
    logging.getLogger("app.x").info("not shown")
    logging.getLogger("app.x").warning("shown")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
