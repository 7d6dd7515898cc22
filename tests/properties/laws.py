"""The laws that every log keeps at every moment, and those that it keeps once all is quiet."""

from collections import Counter

from app.core.fold import fold
from app.core.ids import RunId
from app.core.keys import SessionKey
from app.core.messages import Message, Part
from app.core.records import (
    Entry,
    InputSteered,
    InputWithdrawn,
    MessageAppended,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
)
from app.core.state import AgentState
from app.stores.bundle import Stores
from tests.properties.ledger import Facts
from tests.support.contexts import faults_of


async def check_log(stores: Stores, key: SessionKey, facts: Facts) -> None:
    """The log has no gaps, its head tells the truth, and checkpoint and tail add up to the whole of it."""
    assert [entry.seq for entry in facts.entries] == list(range(1, facts.seq + 1)), "the log has gaps"
    loaded = await stores.sessions.read(key)
    head, shape = loaded.head, facts.shape
    assert (head.birth, head.seq, head.status) == (facts.birth, facts.seq, facts.status)
    assert (head.active, head.cancelling, head.queue) == (shape.active, shape.cancelling, shape.queue)
    owner = facts.given.owner if facts.given is not None else None
    assert head.owner == owner
    assert facts.given is None or head.claim == facts.given.claim
    assert loaded.state() == fold(AgentState(), facts.entries), "checkpoint and tail are not the log"
    check_epochs(facts.entries)
    check_inputs(facts)


def check_epochs(entries: tuple[Entry, ...]) -> None:
    """Every record of a new claim has a higher epoch than the one before."""
    epochs = [entry.record.epoch for entry in entries if isinstance(entry.record, RunStarted | RunResumed)]
    assert epochs == sorted(set(epochs)), f"epochs do not rise: {epochs}"


def check_inputs(facts: Facts) -> None:
    """Every accepted input that survives is in the log once, and no other is: what was refused was not kept."""
    found = Counter(run for run, _ in inputs_of(facts.entries))
    assert found == Counter(submission.run_id for submission in facts.inputs)


def inputs_of(entries: tuple[Entry, ...]) -> list[tuple[RunId, tuple[Part, ...]]]:
    """Gives every input in the log with its name."""
    found: list[tuple[RunId, tuple[Part, ...]]] = []
    for entry in entries:
        match entry.record:
            case RunQueued(run_id=name, input=parts) | InputSteered(input_id=name, input=parts):
                found.append((name, parts))
            case _:
                pass
    return found


async def check_quiet(stores: Stores, key: SessionKey, facts: Facts) -> None:
    """Nothing is stuck, and every input was answered, joined or withdrawn: one of these, and once."""
    assert facts.status == "idle", f"{key.session} is {facts.status}, but nobody has anything to do"
    for entry in facts.entries:
        match entry.record:
            case RunQueued(run_id=run, input=parts):
                check_queued(facts.entries, run, parts)
                stage = await stores.runs.find(key.tenant, run)
                assert stage is not None
                assert stage.stage in {"completed", "cancelled"}
            case InputSteered():
                check_steered(facts.entries, entry, entry.record)
            case _:
                pass
    assert faults_of(fold(AgentState(), facts.entries).messages) == []


def check_queued(entries: tuple[Entry, ...], run: RunId, parts: tuple[Part, ...]) -> None:
    """The run was started and finished once each, with its input in the context; or it was withdrawn."""
    ours = [entry for entry in entries if getattr(entry.record, "run_id", None) == run]
    started = [entry.seq for entry in ours if isinstance(entry.record, RunStarted)]
    finished = [entry.seq for entry in ours if isinstance(entry.record, RunFinished)]
    withdrawn = [entry.seq for entry in ours if isinstance(entry.record, InputWithdrawn)]
    if withdrawn:
        assert (started, finished, len(withdrawn)) == ([], [], 1), f"{run} was withdrawn and run"
        return
    assert len(started) == len(finished) == 1, f"{run} was started at {started} and finished at {finished}"
    assert started < finished
    at_start = fold(AgentState(), entries[: started[0]])
    assert at_start.messages[-1] == Message(role="user", parts=parts), f"the input of {run} is not in its context"


def check_steered(entries: tuple[Entry, ...], entry: Entry, steered: InputSteered) -> None:
    """The run that was joined was active, and a model saw the input before it finished, unless it was cancelled."""
    before, later = entries[: entry.seq - 1], entries[entry.seq :]
    state = fold(AgentState(), before)
    assert state.run is not None
    assert state.run.run_id == steered.run_id
    ends = [e.record for e in later if isinstance(e.record, RunFinished) and e.record.run_id == steered.run_id]
    assert len(ends) == 1
    answers = [e.record for e in later if isinstance(e.record, MessageAppended) and e.record.run_id == steered.run_id]
    seen = any(answer.seen >= entry.seq for answer in answers)
    assert seen or ends[0].status == "cancelled", f"{steered.input_id} joined at {entry.seq} and was never answered"
