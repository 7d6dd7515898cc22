"""What only the API answers: a run with its output, and health."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from app.engine.views import RunView


class RunResult(RunView, frozen=True, kw_only=True, omit_defaults=True):
    """A finished run. `output` is the text of its last answer: of the part shown, if it was cancelled."""

    output: str


class Health(Struct, frozen=True, kw_only=True):
    """How this replica is."""

    status: Literal["ok", "draining", "cut_off"]
    version: str


def result_of(run: RunView, output: str) -> RunResult:
    """Gives the run with its output."""
    return RunResult(**asdict(run), output=output)
