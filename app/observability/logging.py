"""Log lines: for people on a terminal, one JSON object each anywhere else. Nobody logs headers, keys or messages.

Whoever logs does so by `logging` or by `structlog`; both come out the same: time, level, logger, message, then the
fields (`extra` of the one, keywords of the other, and what `context` has bound), and the traceback where there is one.
A traceback never shows local variables: they hold what people said.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

import structlog
from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import BoundLogger, ExtraAdder, LoggerFactory, ProcessorFormatter, filter_by_level
from structlog.typing import EventDict, Processor, WrappedLogger

_extra = ExtraAdder()


def configure(level: str, stream: TextIO | None = None) -> None:
    """Every logger of the process writes to `stream` (the standard error), from that level on, and nowhere else."""
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(for_people=target.isatty()))
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # what it has to say of itself, the greeting says better
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # whoever called hears of it; its pool repeats it for ever
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[filter_by_level, merge_contextvars, ProcessorFormatter.wrap_for_formatter],
        logger_factory=LoggerFactory(),
        wrapper_class=BoundLogger,
    )


def _formatter(*, for_people: bool) -> logging.Formatter:
    rendering: list[Processor]
    if for_people:
        rendering = [_console(colours="NO_COLOR" not in os.environ)]
    else:
        rendering = [format_exc_info, JSONRenderer(json.dumps, ensure_ascii=False)]
    return ProcessorFormatter(foreign_pre_chain=[_add_extra, merge_contextvars], processors=[_describe, *rendering])


def _add_extra(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Gives the line with the record's `extra`, none of which replaces what the line says."""
    return {**_extra(logger, name, {"_record": event["_record"]}), **event}


def _console(*, colours: bool) -> ConsoleRenderer:
    return ConsoleRenderer(
        colors=colours,
        sort_keys=False,
        event_key="message",
        timestamp_key="time",
        exception_formatter=plain_traceback,
    )


def _describe(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Gives the line's fields in order; no field can pass for one of the first four."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    head: EventDict = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": event.pop("event"),
    }
    return {**head, **{name: value for name, value in event.items() if name not in head}}
