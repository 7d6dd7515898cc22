"""What became of a submission or a commit: the functions' outcomes as values, or as the errors that the ports name."""

from collections.abc import Sequence

from asyncpg import Record

from app.core.encoding import load_entry
from app.core.errors import (
    BatonError,
    HeadMoved,
    IdempotencyMismatch,
    LogRegressed,
    QueueFull,
    SessionBusy,
    SessionExists,
    SessionNotFound,
    StaleClaim,
    StoreCorrupt,
    Unseen,
)
from app.core.ids import Birth, Nonce, RunId
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.stores.base import Attached, Claimed, Committed, Joined, Queued, Submitted
from app.stores.head import MAX_QUEUE, MAX_STEERED, Claim
from app.stores.postgres.rows import load_entries, load_log
from app.stores.remote.lines import Line


def submitted(key: SessionKey, row: Record) -> Submitted:
    """Gives what became of an input. Raises what `Sessions.submit` names, and StoreCorrupt."""
    run, first = RunId(row["run_id"]), row["first"]
    match row["outcome"]:
        case "claimed":
            log = load_log(row)
            return Claimed(run, first, log.head.claim, log)
        case "queued":
            return Queued(run, first, Birth(row["birth"]), row["ready"])
        case "joined":
            return Joined(run, first, Birth(row["birth"]), row["ready"])
        case "attached":
            return Attached(run, first, Birth(row["birth"]))
        case refused:
            raise _refusal(key, run, refused)


def _refusal(key: SessionKey, blocker: RunId, outcome: str) -> BatonError:
    match outcome:
        case "busy":
            return SessionBusy(blocker)
        case "full":
            return QueueFull(f"{MAX_QUEUE} runs wait in this session already; try again when one has finished")
        case "crowded":
            return QueueFull(f"{MAX_STEERED} inputs joined this run already; wait for it to finish")
        case "mismatch":
            return IdempotencyMismatch("this idempotency key came with another body before; use a new key")
        case "erased":
            return SessionNotFound(f"session {key.session!r} was deleted")
        case _:
            return StoreCorrupt(f"session {key.session!r} holds a record that cannot be read")


def committed(
    key: SessionKey, claim: Claim, number: int, row: Record, records: Sequence[AnyRecord], lines: Sequence[Line]
) -> Committed:
    """Gives what a commit did. Raises what `Sessions.commit` names, and StoreCorrupt."""
    entries = load_entries(row)
    match row["outcome"]:
        case "committed":
            return _done(row, entries, _written(row, records, lines))
        case "repeat":
            ours = row["first"]
            unseen = tuple(entry for entry in entries if entry.seq < ours)
            return _done(row, unseen, entries[len(unseen) :])
        case "unseen":
            raise Unseen(entries)
        case "absent":
            raise StaleClaim(f"session {key.session!r} is gone")
        case "stale":
            raise StaleClaim(f"epoch {claim.epoch} does not own this session; epoch {row['epoch']} is in force")
        case "regressed":
            raise LogRegressed(f"commit {number}, but the log has {row['commits']} commits and seq {row['seq']}")
        case _:
            raise StoreCorrupt(f"session {key.session!r} holds a record that cannot be read")


def _done(row: Record, unseen: tuple[Entry, ...], written: tuple[Entry, ...]) -> Committed:
    epoch = row["handed_epoch"]
    handed = Claim(epoch, Nonce(row["handed_nonce"])) if epoch is not None else None
    return Committed(row["seq"], row["status"], unseen, written, handed)


def _written(row: Record, records: Sequence[AnyRecord], lines: Sequence[Line]) -> tuple[Entry, ...]:
    """Gives the commit's own records where they are now, with the start of the run that was handed over."""
    written = placed(records, lines, row["first"])
    return written if row["started"] is None else (*written, load_entry(row["seq"], row["started"]))


def appended(key: SessionKey, row: Record, records: Sequence[AnyRecord], lines: Sequence[Line]) -> tuple[Entry, ...]:
    """Gives an append's records where they are now. Raises what `Sessions.append` names, and StoreCorrupt."""
    match row["outcome"]:
        case "appended":
            return placed(records, lines, row["seq"] + 1)
        case "repeat":
            return load_entries(row)
        case "moved":
            raise HeadMoved(f"the log is at seq {row['seq']}, or is another one")
        case "exists":
            raise SessionExists(f"session {key.session!r} exists already")
        case "erased":
            raise SessionNotFound(f"session {key.session!r} was deleted")
        case _:
            raise SessionNotFound(f"there is no session {key.session!r}")


def placed(records: Sequence[AnyRecord], lines: Sequence[Line], first: int) -> tuple[Entry, ...]:
    """Gives records that were written from that seq on."""
    return tuple(Entry(first + i, record, lines[i].body) for i, record in enumerate(records))
