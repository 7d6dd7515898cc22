"""Log lines can be read: by programs, or by people on a terminal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from app.observability.logging import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The root logger is as it was, whatever a test made of it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


def test_a_line_is_one_json_object() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("app.x").debug("not shown")
    try:
        raise ValueError("inner\nlines")
    except ValueError:
        logging.getLogger("app.x").exception("größe %d\nnext", 3)
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["message"]) == ("error", "app.x", "größe 3\nnext")
    assert record["time"].endswith("+00:00")
    assert "ValueError: inner" in record["exception"]


def test_a_terminal_gets_plain_text() -> None:
    stream = Terminal()
    configure("debug", stream)
    logging.getLogger("app.x").debug("hello")
    assert stream.getvalue().endswith("DEBUG   app.x: hello\n")


def test_configuring_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", first)
    configure("warning", second)
    logging.getLogger("app.x").info("not shown")
    logging.getLogger("app.x").warning("shown")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
