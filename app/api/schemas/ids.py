"""The ids a client may choose or name, checked where they enter."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.core.ids import AgentId, SessionId

AGENT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
RUN_PATTERN = r"^run_[0-9a-f]{16}_[a-z0-9]{1,64}$"
SESSION_PATTERN = r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u009f]{1,128}$"
"""What the schema says of session ids; `check_session_id` decides."""

_agent = re.compile(AGENT_PATTERN.replace("$", r"\Z"))
_run = re.compile(RUN_PATTERN.replace("$", r"\Z"))


def check_session_id(text: str) -> str:
    """Gives the id back. Raises ValueError for one that a path, a log line or a person could misread."""
    if text in {".", ".."}:
        raise ValueError("a session id cannot be '.' or '..'")
    if "/" in text:
        raise ValueError("a session id cannot contain '/'")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise ValueError("a session id cannot contain control characters or lone surrogates")
    return text


def is_agent_id(text: str) -> bool:
    """Says whether an agent could be called that."""
    return _agent.match(text) is not None


def is_run_id(text: str) -> bool:
    """Says whether a run could be called that."""
    return _run.match(text) is not None


AgentName = Annotated[AgentId, StringConstraints(pattern=AGENT_PATTERN)]
SessionName = Annotated[
    SessionId,
    StringConstraints(min_length=1, max_length=128),
    AfterValidator(check_session_id),
    Field(json_schema_extra={"pattern": SESSION_PATTERN}),
]
