"""Legal logs: what runners, clients and crashes may leave behind, by a scribe that draws what happens next."""

from datetime import datetime, timedelta
from typing import Literal

from hypothesis import strategies as st

from app.core.ids import RunId, call_id, item_id
from app.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart, Usage
from app.core.records import (
    AnyRecord,
    ApprovalRequested,
    ApprovalResolved,
    Busy,
    ContextCompacted,
    Effect,
    Entry,
    InputSteered,
    InputWithdrawn,
    MessageAppended,
    Outcome,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStatus,
    RunSuspended,
    SessionCreated,
    StatePatched,
    ToolFinished,
    ToolStarted,
    WorkspaceCommitted,
)
from tests.support.arbitrary import EPOCH, entries_of

ONE_CALL = Usage(input_tokens=10, output_tokens=5, model_calls=1)
OUTCOMES: tuple[Outcome, ...] = ("ok", "error", "timeout", "unknown")
ENDS: tuple[RunStatus, ...] = ("failed", "limited")


class Scribe:
    """Writes one log. Between any two records others may write too, and the runner may die."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.records: list[AnyRecord] = []
        self.waiting: list[RunId] = []
        self.names = 0
        self.run = RunId("")
        self.step = 0
        self.attempt = 1
        self.cancelling = False
        self.answered = False
        self.open: list[ToolCallPart] = []

    def write(self, *records: AnyRecord) -> None:
        """Writes those records in one commit."""
        self.records.extend(records)

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=len(self.records))

    def name(self) -> RunId:
        self.names += 1
        return RunId(f"run_0000000000000000_{self.names}")

    def session(self) -> None:
        """Writes a few runs, one after the other."""
        self.write(SessionCreated(at=EPOCH, title="A session"))
        for _ in range(self.draw(st.integers(1, 4))):
            self.queue()
            if self.draw(st.integers(0, 9)) == 0:
                self.write(InputWithdrawn(at=self.at, run_id=self.waiting.pop()))
            if self.waiting:
                self.one_run()
        while self.waiting and self.draw(st.booleans()):
            self.one_run()

    def queue(self) -> None:
        run = self.name()
        self.waiting.append(run)
        self.write(RunQueued(at=self.at, run_id=run, input=words(f"input of {run}"), policy=Busy.ENQUEUE))

    def one_run(self) -> None:
        """Writes one run from its start to its end, if it comes to one."""
        self.run, self.step, self.attempt = self.waiting.pop(0), 0, 1
        self.cancelling, self.answered, self.open = False, False, []
        self.write(RunStarted(at=self.at, run_id=self.run, agent_digest="d", epoch=1))
        for _ in range(self.draw(st.integers(0, 4))):
            self.others()
            if self.cancelling or self.answered:
                break
            self.call_model()
            self.run_tools()
        self.finish()

    def call_model(self) -> None:
        """Writes an answer to the context as it was when the model was asked."""
        seen = len(self.records)
        self.others()
        item, count = item_id(self.run, self.step, 0), self.draw(st.integers(0, 3))
        self.open = [self.call(index) for index in range(1, count + 1)]
        message = Message(role="assistant", parts=(*words("thinking aloud"), *self.open))
        self.step += 1
        self.answered = count == 0 and not any(isinstance(r, InputSteered) for r in self.records[seen:])
        started = [self.started(call) for call in self.open if self.draw(st.booleans())]
        appended = MessageAppended(at=self.at, run_id=self.run, item=item, message=message, seen=seen, usage=ONE_CALL)
        self.write(appended, *started)

    def call(self, index: int) -> ToolCallPart:
        item = item_id(self.run, self.step, index)
        return ToolCallPart(item=item, call_id=call_id(item), name="execute", arguments='{"command": "ls"}')

    def started(self, call: ToolCallPart) -> ToolStarted:
        effect = self.draw(st.sampled_from([Effect.KEYED, Effect.UNSAFE]))
        return ToolStarted(
            at=self.at,
            run_id=self.run,
            item=call.item,
            call_id=call.call_id,
            name=call.name,
            effect=effect,
            key=f"{self.run}:{call.call_id}",
        )

    def run_tools(self) -> None:
        """Writes the results of the open calls, in any order; a cancel may come before the last."""
        calls = self.draw(st.permutations(self.open))
        for call in calls:
            self.others()
            if self.cancelling:
                return
            outcome = self.draw(st.sampled_from(OUTCOMES))
            result = ToolResultPart(
                item=call.item, call_id=call.call_id, name=call.name, text=outcome, is_error=outcome != "ok"
            )
            self.write(ToolFinished(at=self.at, run_id=self.run, item=call.item, result=result, outcome=outcome))
        self.step += bool(calls)
        self.open = []

    def finish(self) -> None:
        """Ends the run in a way that is legal now."""
        status: RunStatus = "completed" if self.answered else self.draw(st.sampled_from(ENDS))
        if self.cancelling:
            status = "cancelled"
            self.cut_off()
        self.write(RunFinished(at=self.at, run_id=self.run, status=status, usage=ONE_CALL))

    def cut_off(self) -> None:
        """Writes what a cancelled model had shown, unless calls are open: then none was asked."""
        if self.open or not self.draw(st.booleans()):
            return
        shown: tuple[Part, ...] = self.draw(st.sampled_from([words("half an ans"), (self.call(1),), ()]))
        message = Message(role="assistant", parts=shown, incomplete=True)
        item, seen = item_id(self.run, self.step, 0), len(self.records)
        self.write(MessageAppended(at=self.at, run_id=self.run, item=item, message=message, seen=seen))

    def others(self) -> None:
        """Writes what clients, crashes and the session's upkeep put between two commits of a run."""
        acts = [self.steer, self.cancel, self.queue, self.rename, self.crash, self.wait, self.compact]
        for act in self.draw(st.lists(st.sampled_from(acts), max_size=2)):
            act()

    def steer(self) -> None:
        if not self.cancelling:
            name = self.name()
            joined = InputSteered(at=self.at, run_id=self.run, input_id=name, input=words(f"input of {name}"))
            self.write(joined)
            self.answered = False

    def cancel(self) -> None:
        self.cancelling = True
        self.write(RunCancelRequested(at=self.at, run_id=self.run))

    def rename(self) -> None:
        committed = WorkspaceCommitted(at=self.at, generation=len(self.records), manifest="m")
        self.write(StatePatched(at=self.at, title="Renamed"), committed)

    def crash(self) -> None:
        self.resume("takeover")

    def resume(self, reason: Literal["takeover", "woken"]) -> None:
        self.attempt += 1
        self.write(RunResumed(at=self.at, run_id=self.run, attempt=self.attempt, reason=reason, epoch=self.attempt))

    def wait(self) -> None:
        """Suspends for an approval, which comes at once."""
        if not self.cancelling:
            item = item_id(self.run, self.step, 1)
            asked = ApprovalRequested(at=self.at, run_id=self.run, item=item, call_hash="h", expires_at=EPOCH)
            self.write(asked, RunSuspended(at=self.at, run_id=self.run, reason="approval"))
            self.write(ApprovalResolved(at=self.at, run_id=self.run, item=item, decision="approved"))
            self.resume("woken")

    def compact(self) -> None:
        keep, summary = self.draw(st.integers(0, 4)), self.draw(st.sampled_from([None, "What came before."]))
        self.write(ContextCompacted(at=self.at, run_id=self.run, keep=keep, summary=summary))


def words(text: str) -> tuple[Part, ...]:
    """Gives the text as parts."""
    return (TextPart(text=text),)


@st.composite
def legal_logs(draw: st.DrawFn) -> tuple[Entry, ...]:
    """Gives a log that the protocol allows; any prefix of it is one that a crash may leave."""
    scribe = Scribe(draw)
    scribe.session()
    return entries_of(scribe.records)
