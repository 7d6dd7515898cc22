"""A simulated runner: it keeps to the protocol, whatever becomes of it; its model says what it is told to say."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from app.core.fold import fold, peek
from app.core.ids import call_id, item_id
from app.core.keys import SessionKey
from app.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart
from app.core.records import (
    AnyRecord,
    Effect,
    MessageAppended,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSuspended,
    ToolFinished,
    ToolStarted,
)
from app.core.state import FOLD_VERSION, ActiveRun, AgentState, OpenCall, decode_state, encode_state
from app.stores.base import Checkpoint, Committed, Log
from app.stores.head import Claim, Claimant

Whim = Literal["finish", "answer", "tools", "suspend", "handover"]
"""What happens next if nothing must: a last answer with the finish in one commit, an answer, calls, a wait, a stop."""
WHIMS: tuple[Whim, ...] = ("finish", "answer", "tools", "suspend", "handover")


class Attempt(Struct, frozen=True, kw_only=True):
    """A commit, until it is answered: repeated, it is the same in every byte."""

    number: int
    seen: int
    records: tuple[AnyRecord, ...]
    release: bool
    heir: Claimant | None = None
    checkpoint: Checkpoint | None = None


class Runner:
    """Owns one session, as far as it knows.

    What it knows is the fold of what was there when its claim was given or its last commit was accepted, and no more: a
    store that forgets any of that forgets the claim or the number too, and is found out. So records that it was only
    shown, by a refused release or by a claim that is told again, do not count as seen. They come with the next commit,
    which is an empty one after a refusal.
    """

    def __init__(self, key: SessionKey, claim: Claim, log: Log, tick: int) -> None:
        started = [e.seq for e in log.entries if isinstance(e.record, RunStarted) and e.record.epoch == claim.epoch]
        given_at = max(started, default=log.head.seq)
        base = decode_state(log.checkpoint.body) if log.checkpoint is not None else AgentState()
        self.key = key
        self.claim = claim
        self.state = fold(base, [entry for entry in log.entries if entry.seq <= given_at])
        self.commits = 0
        self.resumes = not started
        self.refused = False
        self.pending: Attempt | None = None
        self.learned_at = tick
        """The world's tick at which the store last told it anything that it keeps."""
        self.misled = False
        """Set once the store has lost something that it had told this runner."""

    def attempt(self, whim: Whim, heir: Claimant | None, checkpoint: bool, at: datetime) -> Attempt:
        """Gives the commit it makes now: the one that was not answered, or what comes next."""
        if self.pending is None:
            records, release = ((), False) if self.refused else self.decide(whim, at)
            kept = self.checkpoint(records) if checkpoint else None
            self.pending = Attempt(
                number=self.commits + 1,
                seen=self.state.seq,
                records=records,
                release=release,
                heir=heir if release else None,
                checkpoint=kept,
            )
        return self.pending

    def checkpoint(self, records: tuple[AnyRecord, ...]) -> Checkpoint:
        ahead = peek(self.state, records)
        return Checkpoint(ahead.seq, FOLD_VERSION, encode_state(ahead))

    def succeed(self, done: Committed, tick: int) -> None:
        """The commit was answered."""
        self.state = fold(self.state, done.unseen + done.written)
        self.commits += 1
        self.pending, self.refused, self.resumes = None, False, False
        self.learned_at = tick
        if done.handed is not None:
            self.claim, self.commits = done.handed, 0

    def refuse(self) -> None:
        """A release was refused: something lies beyond what it has seen."""
        self.pending, self.refused = None, True

    def decide(self, whim: Whim, at: datetime) -> tuple[tuple[AnyRecord, ...], bool]:
        """Gives the records of the next commit, and whether it releases."""
        run = self.state.run
        if run is None:
            return (), True
        resumed = self.resume(run, at) if self.resumes else ()
        ahead = peek(self.state, resumed)
        records, release = _Turn(ahead, at).go_on(whim)
        return resumed + records, release

    def resume(self, run: ActiveRun, at: datetime) -> tuple[AnyRecord, ...]:
        return (
            RunResumed(at=at, run_id=run.run_id, attempt=run.attempt + 1, reason="takeover", epoch=self.claim.epoch),
        )


class _Turn:
    """What a run does next, in a state in which it is active."""

    def __init__(self, state: AgentState, at: datetime) -> None:
        assert state.run is not None
        self.state = state
        self.run = state.run
        self.at = at

    def go_on(self, whim: Whim) -> tuple[tuple[AnyRecord, ...], bool]:
        open_calls = [call for call in self.run.calls if call.status != "done"]
        if self.run.cancelling:
            return (self.finish("cancelled"),), True
        if whim == "handover":
            return (), True
        if open_calls:
            return self.work(open_calls[0]), False
        if self.answered():
            return (self.finish("completed"),), True
        return self.ask(whim)

    def answered(self) -> bool:
        last = self.state.messages[-1]
        return not self.state.steered and last.role == "assistant" and not last.calls()

    def work(self, call: OpenCall) -> tuple[AnyRecord, ...]:
        """Starts the call, or brings its result; a call in doubt is not repeated."""
        if call.status == "wanted":
            started = ToolStarted(
                at=self.at,
                run_id=self.run.run_id,
                item=call.item,
                call_id=call.call_id,
                name=call.name,
                effect=Effect.UNSAFE,
                key=call.call_id,
            )
            return (started,)
        result = ToolResultPart(item=call.item, call_id=call.call_id, name=call.name, text=call.status)
        outcome = "unknown" if call.status == "in_doubt" else "ok"
        return (ToolFinished(at=self.at, run_id=self.run.run_id, item=call.item, result=result, outcome=outcome),)

    def ask(self, whim: Whim) -> tuple[tuple[AnyRecord, ...], bool]:
        """Asks the model, or suspends the run before it does."""
        if whim == "suspend":
            return (RunSuspended(at=self.at, run_id=self.run.run_id, reason="approval"),), True
        if whim == "tools":
            return (self.message(tuple(self.call(index) for index in (1, 2))),), False
        message = self.message(())
        return ((message, self.finish("completed")), True) if whim == "finish" else ((message,), False)

    def call(self, index: int) -> ToolCallPart:
        item = item_id(self.run.run_id, self.run.step, index)
        return ToolCallPart(item=item, call_id=call_id(item), name="execute", arguments="{}")

    def message(self, calls: tuple[ToolCallPart, ...]) -> MessageAppended:
        parts: tuple[Part, ...] = (TextPart(text="an answer"), *calls)
        return MessageAppended(
            at=self.at,
            run_id=self.run.run_id,
            item=item_id(self.run.run_id, self.run.step, 0),
            message=Message(role="assistant", parts=parts),
            seen=self.state.seq,
        )

    def finish(self, status: Literal["completed", "cancelled"]) -> RunFinished:
        return RunFinished(at=self.at, run_id=self.run.run_id, status=status)
