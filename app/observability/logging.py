"""Log lines: for people on a terminal, one JSON object each anywhere else. Nobody logs headers, keys or messages."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

PLAIN = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One line per record: time, level, logger, message and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Gives the record as one JSON object without a line break."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Every logger of the process writes to `stream` (the standard error), from that level on, and nowhere else."""
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(logging.Formatter(PLAIN) if target.isatty() else JsonLines())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # what it has to say of itself, the greeting says better
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
