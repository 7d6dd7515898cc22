"""The tally: what this replica's writes meant, counted from the records once they are durable."""

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from app.core.messages import Usage
from app.core.records import (
    AnyRecord,
    Entry,
    MessageAppended,
    Outcome,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    ToolFinished,
)
from app.observability.metrics import Figure, Sample
from app.stores.base import Attached, Claimed, Joined, Queued, Submitted, Taken

INPUTS = Figure("inputs_total", "Inputs submitted here, by what became of them at once.", ("outcome",))
TAKEN = Figure("sessions_taken_total", "Ready sessions taken; orphaned: from the dead.", ("reason",))
SWEPT = Figure("sessions_swept_total", "Sessions of dead replicas that were made ready here.")
BURIED = Figure("replicas_buried_total", "Replicas that were declared dead here.")
STARTED = Figure("runs_started_total", "Runs whose start was recorded here.")
RESUMED = Figure("runs_resumed_total", "Runs that went on here, by why they had stopped.", ("reason",))
FINISHED = Figure("runs_finished_total", "Runs whose end was recorded here, by status.", ("status",))
RECORDS = Figure("records_written_total", "Records committed or appended here, by type.", ("type",))
TOKENS = Figure("model_tokens_total", "Tokens of recorded answers; cached ones are input too.", ("kind",))
TOOLS = Figure("tool_results_total", "Recorded results of tool calls.", ("tool", "outcome"))

UNKNOWN_TOOL = "other"
"""A model may call a tool by any name; what is not in the toolbox shares this one."""


class Tally:
    """Counts what was written, and nothing that was refused or lost."""

    def __init__(self, tools: Iterable[str]) -> None:
        self._tools = frozenset(tools)
        self.inputs = Counter(dict.fromkeys(("claimed", "queued", "joined", "attached"), 0))
        self.taken = Counter({"ready": 0, "orphaned": 0})
        self.swept = 0
        self.buried = 0
        self.started = 0
        self.resumed = Counter(dict.fromkeys(("takeover", "handover", "model_stream", "woken"), 0))
        self.finished = Counter(dict.fromkeys(get_args(RunStatus), 0))
        self.records: Counter[str] = Counter()
        self.tools: Counter[tuple[str, Outcome]] = Counter()
        self.usage = Usage()

    def submitted(self, outcome: Submitted) -> None:
        """An input came in."""
        match outcome:
            case Claimed():
                self.inputs["claimed"] += 1
                self.started += 1
            case Queued():
                self.inputs["queued"] += 1
            case Joined():
                self.inputs["joined"] += 1
            case Attached():
                self.inputs["attached"] += 1

    def took(self, taken: Iterable[Taken]) -> None:
        """Sessions were taken; a run that was waiting starts with it."""
        for one in taken:
            self.taken["orphaned" if one.orphaned else "ready"] += 1
            last = one.log.entries[-1].record if one.log.entries else None
            self.started += isinstance(last, RunStarted) and last.epoch == one.claim.epoch

    def wrote(self, entries: Iterable[Entry]) -> None:
        """Records were written."""
        for entry in entries:
            self.records[str(type(entry.record).__struct_config__.tag)] += 1
            self._look(entry.record)

    def _look(self, record: AnyRecord) -> None:
        match record:
            case RunStarted():
                self.started += 1
            case RunResumed(reason=reason):
                self.resumed[reason] += 1
            case RunFinished(status=status):
                self.finished[status] += 1
            case MessageAppended(usage=usage):
                self.usage += usage
            case ToolFinished(result=result, outcome=outcome):
                self.tools[result.name if result.name in self._tools else UNKNOWN_TOOL, outcome] += 1
            case _:
                return

    def samples(self) -> Iterable[Sample]:
        yield from (INPUTS.of(count, outcome) for outcome, count in self.inputs.items())
        yield from (TAKEN.of(count, reason) for reason, count in self.taken.items())
        yield SWEPT.of(self.swept)
        yield BURIED.of(self.buried)
        yield STARTED.of(self.started)
        yield from (RESUMED.of(count, reason) for reason, count in self.resumed.items())
        yield from (FINISHED.of(count, status) for status, count in self.finished.items())
        yield from (RECORDS.of(count, kind) for kind, count in self.records.items())
        yield from (TOOLS.of(count, *labels) for labels, count in self.tools.items())
        yield TOKENS.of(self.usage.input_tokens, "input")
        yield TOKENS.of(self.usage.output_tokens, "output")
        yield TOKENS.of(self.usage.cached_tokens, "cached")
