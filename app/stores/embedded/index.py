"""What a log's entries mean outside it: the run index, and the blobs that they name."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from app.core.ids import Birth, RunId
from app.core.keys import SessionKey
from app.core.messages import Part
from app.core.records import (
    AnyRecord,
    Entry,
    InputSteered,
    InputWithdrawn,
    MessageAppended,
    RunFinished,
    RunQueued,
    RunStarted,
    ToolFinished,
)
from app.stores.base import RunEntry, RunStage


class Move(Struct, frozen=True):
    """A run reached another stage, and its end if `last` is given."""

    run_id: RunId
    stage: RunStage
    last: int | None = None


class IndexChange(Struct, frozen=True):
    """The rows to insert, and then the rows to update, if they exist."""

    begun: tuple[RunEntry, ...]
    moved: tuple[Move, ...]


def index_change(key: SessionKey, birth: Birth, entries: Iterable[Entry]) -> IndexChange:
    """Gives what the entries change in the run index."""
    begun: dict[RunId, RunEntry] = {}
    moved: list[Move] = []
    for entry in entries:
        run = _begun(key, birth, entry)
        move = _moved(entry)
        if run is not None:
            begun[run.run_id] = run
        elif move is not None and move.run_id in begun:
            begun[move.run_id] = replace(begun[move.run_id], stage=move.stage, last=move.last)
        elif move is not None:
            moved.append(move)
    return IndexChange(tuple(begun.values()), tuple(moved))


def _begun(key: SessionKey, birth: Birth, entry: Entry) -> RunEntry | None:
    match entry.record:
        case RunQueued(run_id=run):
            return RunEntry(run, key, birth, entry.seq, None, "queued")
        case InputSteered(run_id=run, input_id=joining):
            return RunEntry(joining, key, birth, entry.seq, entry.seq, "joined", joined=run)
        case _:
            return None


def _moved(entry: Entry) -> Move | None:
    match entry.record:
        case RunStarted(run_id=run):
            return Move(run, "active")
        case RunFinished(run_id=run, status=status):
            return Move(run, status, entry.seq)
        case InputWithdrawn(run_id=run):
            return Move(run, "cancelled", entry.seq)
        case _:
            return None


def named_blobs(entries: Iterable[Entry]) -> frozenset[str]:
    """Gives the SHA-256 of every blob that the entries name."""
    blobs = (getattr(part, "blob", None) for entry in entries for part in _parts(entry.record))
    return frozenset(blob.sha256 for blob in blobs if blob is not None)


def _parts(record: AnyRecord) -> tuple[Part, ...]:
    match record:
        case RunQueued(input=parts) | InputSteered(input=parts):
            return parts
        case MessageAppended(message=message):
            return message.parts
        case ToolFinished(result=result):
            return (result,)
        case _:
            return ()
