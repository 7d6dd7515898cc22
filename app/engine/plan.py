"""What a step writes: its own records, and whatever follows from them at once, for one commit.

An answer without calls finishes its run in the same commit; one with calls starts them in the same commit. So a plain
turn is a submit and a commit, and a call with an effect never runs before its `tool.started` is durable.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from app.core.agents import Limits
from app.core.fold import peek
from app.core.ids import RunId
from app.core.messages import Message, ToolResultPart
from app.core.records import AnyRecord, ContextCompacted, Effect, Outcome, RunFinished, ToolFinished, ToolStarted
from app.core.state import ActiveRun, AgentState, OpenCall
from app.engine.step import CallModel, Finish, Idle, RunTools, Step, Suspend, next_step

IN_DOUBT = (
    "The server stopped while this call was under way, and nobody can say whether it took effect. It was not repeated. "
    "Check the state of things before you decide to do it again."
)

EffectOf = Callable[[OpenCall], Effect]


class Plan(Struct, frozen=True):
    """Records for one commit, the state they lead to, and the step that comes after them."""

    records: tuple[AnyRecord, ...]
    state: AgentState
    then: Step


def plan(state: AgentState, records: Sequence[AnyRecord], limits: Limits, effect_of: EffectOf, now: datetime) -> Plan:
    """Extends the records by their immediate consequences. Pure.

    `effect_of` says what a call's tool declares; a replica that will start no call says `pure` of all.
    """
    planned = list(records)
    while True:
        ahead = peek(state, planned)
        step = next_step(ahead, limits, now)
        more = _consequences(ahead, step, limits, effect_of, now)
        if not more:
            return Plan(tuple(planned), ahead, step)
        planned += more


def call_key(call: OpenCall) -> str:
    """Gives the key under which a call's effect happens once: `run_id:call_id`."""
    return f"{call.item.split(':', 1)[0]}:{call.call_id}"


def finish_call(call: OpenCall, text: str, outcome: Outcome, now: datetime, run: RunId) -> ToolFinished:
    """Gives the record of a call that came to nothing, in words for the model."""
    result = ToolResultPart(item=call.item, call_id=call.call_id, name=call.name, text=text, is_error=True)
    return ToolFinished(at=now, run_id=run, item=call.item, result=result, outcome=outcome)


def _consequences(state: AgentState, step: Step, limits: Limits, effect_of: EffectOf, now: datetime) -> list[AnyRecord]:
    run = state.run
    if run is None:
        return []
    match step:
        case RunTools(calls=calls, doubtful=doubtful):
            settled = [finish_call(call, IN_DOUBT, "unknown", now, run.run_id) for call in doubtful]
            return [*settled, *_starts(calls, effect_of, now, run.run_id)]
        case Finish():
            return [*_compaction(state.messages, run, limits, now), _finish(run, step, now)]
        case Idle() | CallModel() | Suspend():
            return []


def _starts(calls: Sequence[OpenCall], effect_of: EffectOf, now: datetime, run: RunId) -> list[AnyRecord]:
    starts: list[AnyRecord] = []
    for call in calls:
        effect = effect_of(call)
        if call.status != "started" and effect is not Effect.PURE:
            key = call_key(call)
            start = ToolStarted(
                at=now, run_id=run, item=call.item, call_id=call.call_id, name=call.name, effect=effect, key=key
            )
            starts.append(start)
    return starts


def _finish(run: ActiveRun, step: Finish, now: datetime) -> RunFinished:
    return RunFinished(at=now, run_id=run.run_id, status=step.status, error=step.error, usage=run.usage)


def _compaction(messages: Sequence[Message], run: ActiveRun, limits: Limits, now: datetime) -> list[AnyRecord]:
    """Bounds what the next run's model sees: beyond the limit, only the newer half stays, from a user's message on."""
    if len(messages) <= limits.context_messages:
        return []
    start = _first_user(messages, len(messages) - limits.context_messages // 2)
    keep = len(messages) - start
    return [ContextCompacted(at=now, run_id=run.run_id, keep=keep)] if keep else []


def _first_user(messages: Sequence[Message], start: int) -> int:
    users = (i for i in range(start, len(messages)) if messages[i].role == "user")
    return next(users, len(messages))
