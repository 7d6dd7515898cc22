"""The fold, over every log: total, associative over splits, and never a context that a provider would refuse."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.core.fold import fold, peek
from app.core.records import (
    ContextCompacted,
    Entry,
    InputSteered,
    InputWithdrawn,
    MessageAppended,
    RunFinished,
    RunQueued,
)
from app.core.state import AgentState, decode_state, encode_state
from tests.support.arbitrary import EPOCH, arbitrary_logs
from tests.support.contexts import faults_of
from tests.support.logs import legal_logs

any_log = arbitrary_logs | legal_logs()


@given(any_log)
def test_every_prefix_folds(log: tuple[Entry, ...]) -> None:
    state = AgentState()
    for entry in log:
        state = fold(state, [entry])
        assert state.seq == entry.seq
    assert state == fold(AgentState(), log)


@given(any_log, st.data())
def test_a_fold_in_two_parts_is_the_fold(log: tuple[Entry, ...], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(log)))
    head = fold(AgentState(), log[:split])
    whole = fold(AgentState(), log)
    assert fold(head, log[split:]) == whole
    assert fold(head, log) == whole, "entries that were folded before are skipped"


@given(any_log, st.data())
def test_a_checkpoint_and_the_tail_are_the_whole_log(log: tuple[Entry, ...], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(log)))
    kept = decode_state(encode_state(fold(AgentState(), log[:split])))
    assert fold(kept, log[split:]) == fold(AgentState(), log)


@given(any_log, st.data())
def test_a_peek_is_the_fold_of_what_comes_next(log: tuple[Entry, ...], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(log)))
    state = fold(AgentState(), log[:split])
    assert peek(state, [entry.record for entry in log[split:]]) == fold(AgentState(), log)


@given(legal_logs())
def test_trap_orphaned_call_poisons_the_session(log: tuple[Entry, ...]) -> None:
    """An assistant tool call without its result made every later message of the session fail."""
    state = AgentState()
    for entry in log:
        state = fold(state, [entry])
        if isinstance(entry.record, RunFinished):
            assert faults_of(state.messages) == []


@given(legal_logs(), st.data())
def test_every_run_may_be_cut_off_anywhere(log: tuple[Entry, ...], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(log)))
    state = fold(AgentState(), log[:split])
    if state.run is not None:
        end = RunFinished(at=EPOCH, run_id=state.run.run_id, status="failed")
        assert faults_of(peek(state, [end]).messages) == []


@given(legal_logs())
def test_the_model_is_only_ever_shown_a_valid_context(log: tuple[Entry, ...]) -> None:
    for entry in log:
        if isinstance(entry.record, MessageAppended) and not entry.record.message.incomplete:
            shown = fold(AgentState(), log[: entry.record.seen])
            assert faults_of(shown.context()) == []


@given(legal_logs())
def test_every_input_is_said_once_when_its_run_is_over(log: tuple[Entry, ...]) -> None:
    state = fold(AgentState(), [entry for entry in log if not isinstance(entry.record, ContextCompacted)])
    withdrawn = {entry.record.run_id for entry in log if isinstance(entry.record, InputWithdrawn)}
    waiting = {queued.run_id for queued in state.queued}
    said = Counter(part for message in state.messages for part in message.parts if message.role == "user")
    for entry in log:
        match entry.record:
            case RunQueued(run_id=run, input=(part,)):
                assert said[part] == (run not in withdrawn | waiting)
            case InputSteered(input=(part,)):
                assert said[part] == 1
            case _:
                pass
