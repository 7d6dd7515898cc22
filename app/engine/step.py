"""What comes next: the whole agent loop as one pure function of the state.

Recovery is nothing special: whoever holds the claim folds the log and asks again.
"""

from datetime import datetime

from msgspec import Struct

from app.core.agents import Limits
from app.core.messages import Message
from app.core.records import Effect, Fault, RunStatus
from app.core.state import ActiveRun, AgentState, OpenCall


class Idle(Struct, frozen=True):
    """No run is active."""


class CallModel(Struct, frozen=True):
    """The model is to answer the conversation as it stands."""


class RunTools(Struct, frozen=True):
    """These calls are to be carried out; the `doubtful` ones may not be repeated, their outcome is unknown."""

    calls: tuple[OpenCall, ...]
    doubtful: tuple[OpenCall, ...] = ()


class Suspend(Struct, frozen=True):
    """The run waits for something outside."""

    reason: str


class Finish(Struct, frozen=True):
    """The run is over."""

    status: RunStatus
    error: Fault | None = None


Step = Idle | CallModel | RunTools | Suspend | Finish


def next_step(state: AgentState, limits: Limits, now: datetime) -> Step:
    """Gives the next step of the active run. Pure: the same state, limits and time give the same step."""
    run = state.run
    if run is None:
        return Idle()
    if run.cancelling:
        return Finish("cancelled")
    if run.suspended is not None:
        return Suspend(run.suspended)
    if not run.calls and not state.steered and _is_answered(state.messages):
        return Finish("completed")
    exceeded = exceeded_limit(run, limits, now)
    if exceeded is not None:
        return Finish("limited", exceeded)
    return _run_tools(run.calls) if run.calls else CallModel()


def exceeded_limit(run: ActiveRun, limits: Limits, now: datetime) -> Fault | None:
    """Gives the first limit that the run has reached, or None."""
    elapsed = (now - run.started_at).total_seconds()
    if run.step >= limits.steps:
        return Fault(code="limit_steps", message=f"the run took {run.step} steps, its limit")
    if run.attempt > limits.attempts:
        return Fault(code="limit_attempts", message=f"the run was begun {run.attempt} times and never got to its end")
    if elapsed >= limits.seconds:
        return Fault(code="limit_seconds", message=f"the run took {limits.seconds:g} s, its limit")
    if run.usage.tokens() >= limits.tokens:
        return Fault(code="limit_tokens", message=f"the run used {limits.tokens} tokens, its limit")
    return None


def _is_answered(messages: tuple[Message, ...]) -> bool:
    return bool(messages) and _is_final(messages[-1])


def _is_final(message: Message) -> bool:
    return message.role == "assistant" and not message.incomplete and not message.calls()


def _run_tools(calls: tuple[OpenCall, ...]) -> RunTools:
    pending = [call for call in calls if call.status != "done"]
    doubtful = [call for call in pending if call.status == "in_doubt" and call.effect is Effect.UNSAFE]
    return RunTools(tuple(call for call in pending if call not in doubtful), tuple(doubtful))
