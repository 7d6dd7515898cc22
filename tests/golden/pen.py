"""A pen for golden logs: writes records of one run without saying the obvious each time."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from app.core.ids import RunId, call_id, item_id
from app.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart, Usage
from app.core.records import (
    AnyRecord,
    Effect,
    Fault,
    InputSteered,
    MessageAppended,
    Outcome,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStatus,
    SessionCreated,
    ToolFinished,
    ToolStarted,
)

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class Pen:
    """Writes one log; a record comes a second after the one before."""

    def __init__(self, title: str) -> None:
        self.records: list[AnyRecord] = [SessionCreated(at=START, title=title)]
        self.run = RunId("")
        self.step = 0
        self.usage = Usage()

    @property
    def at(self) -> datetime:
        return START + timedelta(seconds=len(self.records))

    @property
    def seq(self) -> int:
        return len(self.records)

    def write(self, record: AnyRecord) -> None:
        self.records.append(record)

    def start(self, run: str, said: str) -> None:
        """Queues an input and starts its run."""
        self.run, self.step, self.usage = RunId(f"run_0123456789abcdef_{run}"), 0, Usage()
        self.write(RunQueued(at=self.at, run_id=self.run, input=(TextPart(text=said),)))
        self.write(RunStarted(at=self.at, run_id=self.run, agent_digest="a1b2c3", epoch=1))

    def answer(self, said: str, *calls: ToolCallPart, seen: int | None = None, incomplete: bool = False) -> None:
        """Appends a model's message; `seen` is the whole log unless told."""
        parts: tuple[Part, ...] = (TextPart(text=said), *calls)
        used = Usage() if incomplete else Usage(input_tokens=100, output_tokens=20, model_calls=1)
        appended = MessageAppended(
            at=self.at,
            run_id=self.run,
            item=item_id(self.run, self.step, 0),
            message=Message(role="assistant", parts=parts, incomplete=incomplete),
            seen=self.seq if seen is None else seen,
            model="offline:offline",
            stop="tool_calls" if calls else "end",
            usage=used,
        )
        self.step, self.usage = self.step + 1, self.usage + used
        self.write(appended)

    def call(self, index: int, name: str, arguments: str) -> ToolCallPart:
        """Gives a call of the message that comes next."""
        item = item_id(self.run, self.step, index)
        return ToolCallPart(item=item, call_id=call_id(item), name=name, arguments=arguments)

    def started(self, call: ToolCallPart, effect: Effect) -> None:
        key = f"{self.run}:{call.call_id}"
        self.write(
            ToolStarted(
                at=self.at,
                run_id=self.run,
                item=call.item,
                call_id=call.call_id,
                name=call.name,
                effect=effect,
                key=key,
            )
        )

    def result(self, call: ToolCallPart, text: str, outcome: Outcome = "ok") -> None:
        part = ToolResultPart(item=call.item, call_id=call.call_id, name=call.name, text=text, is_error=outcome != "ok")
        self.write(ToolFinished(at=self.at, run_id=self.run, item=call.item, result=part, outcome=outcome))

    def batch_done(self) -> None:
        """The next message is a step later: a batch of tools is a step too."""
        self.step += 1

    def steer(self, said: str) -> None:
        joined = RunId(f"run_0123456789abcdef_joined{self.seq}")
        self.write(InputSteered(at=self.at, run_id=self.run, input_id=joined, input=(TextPart(text=said),)))

    def cancel(self, reason: str) -> None:
        self.write(RunCancelRequested(at=self.at, run_id=self.run, reason=reason))

    def resumed(self, attempt: int, reason: Literal["takeover", "handover"]) -> None:
        self.write(RunResumed(at=self.at, run_id=self.run, attempt=attempt, reason=reason, epoch=attempt))

    def finish(self, status: RunStatus = "completed", error: Fault | None = None) -> None:
        self.write(RunFinished(at=self.at, run_id=self.run, status=status, error=error, usage=self.usage))
