"""What single records mean for the state."""

from app.core.fold import NOT_RUN, UNKNOWN, fold, peek
from app.core.ids import CallId, ItemId, RunId
from app.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart, Usage
from app.core.records import (
    AnyRecord,
    ContextCompacted,
    Effect,
    InputSteered,
    MessageAppended,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    StatePatched,
    Todo,
    ToolFinished,
    ToolStarted,
)
from app.core.state import AgentState
from tests.support.arbitrary import EPOCH, entries_of

RUN = RunId("run")
CALLS = tuple(
    ToolCallPart(item=ItemId(f"run:0:{i}"), call_id=CallId(f"call_{i}"), name="execute", arguments="{}")
    for i in (1, 2, 3)
)


def words(text: str) -> tuple[Part, ...]:
    return (TextPart(text=text),)


def began() -> list[AnyRecord]:
    queued = RunQueued(at=EPOCH, run_id=RUN, input=words("hello"))
    return [queued, RunStarted(at=EPOCH, run_id=RUN, agent_digest="d", epoch=1)]


def said(*parts: Part, seen: int = 2, incomplete: bool = False) -> MessageAppended:
    message = Message(role="assistant", parts=parts, incomplete=incomplete)
    return MessageAppended(at=EPOCH, run_id=RUN, item=ItemId("run:0:0"), message=message, seen=seen)


def started(call: ToolCallPart) -> ToolStarted:
    return ToolStarted(
        at=EPOCH, run_id=RUN, item=call.item, call_id=call.call_id, name=call.name, effect=Effect.UNSAFE, key="key"
    )


def finished(call: ToolCallPart, text: str = "done") -> ToolFinished:
    result = ToolResultPart(item=call.item, call_id=call.call_id, name=call.name, text=text)
    return ToolFinished(at=EPOCH, run_id=RUN, item=call.item, result=result, outcome="ok")


def steered(text: str) -> InputSteered:
    return InputSteered(at=EPOCH, run_id=RUN, input_id=RunId(text), input=words(text))


END = RunFinished(at=EPOCH, run_id=RUN, status="cancelled", usage=Usage(model_calls=1))
TAKEN_OVER = RunResumed(at=EPOCH, run_id=RUN, attempt=2, reason="takeover", epoch=2)


def state_of(*records: AnyRecord) -> AgentState:
    return fold(AgentState(), entries_of([*began(), *records]))


def texts(state: AgentState) -> list[str]:
    return [f"{message.role}: {message.text()}" for message in state.messages]


def test_a_queued_input_is_said_when_its_run_starts() -> None:
    queued = fold(AgentState(), entries_of(began()[:1]))
    assert (queued.messages, [one.run_id for one in queued.queued]) == ((), [RUN])
    running = state_of()
    assert (texts(running), running.queued) == (["user: hello"], ())
    assert running.run is not None
    assert running.run.agent_digest == "d"


def test_results_come_in_the_order_of_the_calls_once_all_are_there() -> None:
    two = state_of(said(*CALLS), finished(CALLS[2]), finished(CALLS[0]))
    assert [message.role for message in two.messages] == ["user", "assistant"]
    three = peek(two, [finished(CALLS[1])])
    results = [part for part in three.messages[-1].parts if isinstance(part, ToolResultPart)]
    assert [result.call_id for result in results] == [call.call_id for call in CALLS]
    assert three.run is not None
    assert (three.run.calls, three.run.step) == ((), 2)


def test_only_started_calls_are_in_doubt_after_a_takeover() -> None:
    state = state_of(said(*CALLS), started(CALLS[0]), started(CALLS[1]), finished(CALLS[1]), TAKEN_OVER)
    assert state.run is not None
    assert [call.status for call in state.run.calls] == ["in_doubt", "done", "wanted"]
    assert (state.run.attempt, state.run.breaks) == (2, 0)


def test_a_broken_model_stream_leaves_no_doubt() -> None:
    broke = RunResumed(at=EPOCH, run_id=RUN, attempt=2, reason="model_stream", epoch=1)
    state = state_of(said(CALLS[0]), started(CALLS[0]), broke)
    assert state.run is not None
    assert ([call.status for call in state.run.calls], state.run.breaks) == (["started"], 1)


def test_a_run_that_ends_answers_its_open_calls() -> None:
    state = state_of(said(*CALLS), started(CALLS[1]), finished(CALLS[2]), END)
    results = [part.text for part in state.messages[-1].parts if isinstance(part, ToolResultPart)]
    assert results == [NOT_RUN, UNKNOWN, "done"]
    assert (state.run, state.usage) == (None, Usage(model_calls=1))


def test_a_steered_input_follows_the_answer_that_had_not_seen_it() -> None:
    early, late = steered("early"), steered("late")
    state = state_of(early, late, said(TextPart(text="answer"), seen=3))
    assert texts(state) == ["user: hello", "user: early", "assistant: answer"]
    assert [message.text() for message in state.context()][-1] == "late"
    assert texts(peek(state, [END]))[-1] == "user: late"


def test_calls_that_a_cut_off_message_had_shown_are_nobodys() -> None:
    state = state_of(said(TextPart(text="I will"), CALLS[0], incomplete=True))
    assert state.messages[-1] == Message(role="assistant", parts=words("I will"), incomplete=True)
    assert state.run is not None
    assert state.run.calls == ()
    assert texts(state_of(said(CALLS[0], incomplete=True), END)) == ["user: hello"]


def test_a_compaction_leaves_no_results_without_their_calls() -> None:
    def keep(count: int) -> ContextCompacted:
        return ContextCompacted(at=EPOCH, run_id=RUN, keep=count, summary="before")

    closed = [said(CALLS[0]), finished(CALLS[0]), said(TextPart(text="there"), seen=4)]
    assert texts(state_of(*closed, keep(2))) == ["assistant: there"]
    midway = state_of(said(CALLS[0]), keep(0), finished(CALLS[0]))
    assert [message.role for message in midway.messages] == ["assistant", "tool"]
    assert midway.summary == "before"


def test_a_run_is_cancelled_suspended_and_resumed_only_by_its_own_records() -> None:
    other = RunId("other")
    strange = [
        RunCancelRequested(at=EPOCH, run_id=other),
        RunSuspended(at=EPOCH, run_id=other, reason="approval"),
        RunFinished(at=EPOCH, run_id=other, status="failed"),
        InputSteered(at=EPOCH, run_id=other, input_id=other, input=words("lost")),
    ]
    assert state_of(*strange).run == state_of().run
    own = state_of(RunSuspended(at=EPOCH, run_id=RUN, reason="approval"), RunCancelRequested(at=EPOCH, run_id=RUN)).run
    assert own is not None
    assert (own.suspended, own.cancelling) == ("approval", True)


def test_a_patch_sets_what_it_names_and_nothing_else() -> None:
    todos = (Todo(text="look"),)
    named = state_of(StatePatched(at=EPOCH, title="named", plan_mode=True), StatePatched(at=EPOCH, todos=todos))
    assert (named.title, named.plan_mode, named.todos) == ("named", True, todos)
    assert not peek(named, [StatePatched(at=EPOCH, todos=())]).todos
