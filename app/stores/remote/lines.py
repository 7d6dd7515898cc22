"""Records on their way to a store that decides by itself but reads no JSON: each with what decisions need beside it.

Redis and Postgres follow `stores/head.py` in their own languages. What they must know of a record is said here once, in
`Line`; the records that a store writes by its own decision (the input, a start) come as a `Draft`, whose templates it
completes by putting texts together.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from app.core.encoding import encode_record
from app.core.ids import AgentId, RunId
from app.core.records import (
    AnyRecord,
    Busy,
    InputSteered,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunStarted,
    SessionCreated,
    StatePatched,
    run_of,
)
from app.stores.head import Claimant, Submission

_HOLE = "\x00"
_HOLE_JSON = b"\\u0000"


class Line(Struct, frozen=True, array_like=True):
    """A record: its type, its stored body, and what it changes in the head and in the run index."""

    kind: str
    body: bytes
    reader: int = 1
    run: str = ""
    title: str | None = None
    """The session's title from here on (`session.created`, `state.patched`)."""
    status: str = ""
    """How the run ended (`run.finished`)."""
    input_id: str = ""
    """The run that joined another one (`input.steered`)."""


class Template(Struct, frozen=True, array_like=True):
    """A body with one hole: `before`, the hole's JSON, `after`."""

    before: bytes
    after: bytes


NEVER = Template(b"", b"")
"""A record that is not written."""


class Draft(Struct, frozen=True, array_like=True):
    """An input as every record that it may become; the store writes those that its decision asks for.

    `steered` and `cancel` lack the active run's id as JSON text; they are empty if the policy never asks for them.
    """

    created: bytes
    queued: bytes
    steered: Template
    cancel: Template


class Start(Struct, frozen=True, array_like=True):
    """`run.started` as bytes around two holes: `before`, the run's id as JSON text, `middle`, the epoch, `after`."""

    before: bytes
    middle: bytes
    after: bytes


def prepare(records: Sequence[AnyRecord]) -> list[Line]:
    """Gives the records' lines. Raises RecordTooLarge and InvalidInput."""
    return [_line(record) for record in records]


def draft(submission: Submission, at: datetime) -> Draft:
    """Gives what the input may become by its policy. Raises RecordTooLarge and InvalidInput."""
    run, policy = submission.run_id, submission.policy
    queued = RunQueued(at=at, run_id=run, input=submission.input, policy=policy, metadata=submission.metadata)
    cancel = RunCancelRequested(at=at, run_id=RunId(_HOLE), reason=f"interrupted by {run}")
    return Draft(
        created=encode_record(SessionCreated(at=at, title=submission.title)),
        queued=encode_record(queued),
        steered=_steered(submission, at) if policy is Busy.STEER else NEVER,
        cancel=_template(encode_record(cancel)) if policy is Busy.INTERRUPT else NEVER,
    )


def _steered(submission: Submission, at: datetime) -> Template:
    """Gives the input as it joins a run. It must fit with that run's id in it, which is as long as its own."""
    run = submission.run_id
    joined = InputSteered(at=at, run_id=run, input_id=run, input=submission.input)
    encode_record(joined)
    return _template(encode_record(replace(joined, run_id=RunId(_HOLE))))


def start(claimant: Claimant | None, agent: AgentId, at: datetime) -> Start | None:
    """Gives how that claimant would start a run of the agent, or None if it could not."""
    digest = claimant.digests.get(agent) if claimant is not None else None
    if digest is None:
        return None
    body = encode_record(RunStarted(at=at, run_id=RunId(_HOLE), agent_digest=digest, epoch=0))
    before, middle = _template(body), b'"epoch":'
    head, _, tail = before.after.rpartition(middle + b"0")
    return Start(before.before, head + middle, tail)


def _template(body: bytes) -> Template:
    before, _, after = body.partition(b'"' + _HOLE_JSON + b'"')
    return Template(before, after)


def _line(record: AnyRecord) -> Line:
    title = record.title if isinstance(record, SessionCreated | StatePatched) else None
    return Line(
        kind=str(type(record).__struct_config__.tag),
        body=encode_record(record),
        reader=record.reader,
        run=run_of(record) or "",
        title=title,
        status=record.status if isinstance(record, RunFinished) else "",
        input_id=record.input_id if isinstance(record, InputSteered) else "",
    )
