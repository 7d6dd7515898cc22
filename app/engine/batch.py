"""One batch of tool calls: side by side, each bounded, each ending in a result that the model can read."""

import asyncio
import logging
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from app.core.encoding import encode_record
from app.core.errors import BatonError, ClaimLost, RecordTooLarge, StoreUnavailable, ToolError
from app.core.messages import ToolResultPart
from app.core.records import AnyRecord, Outcome, ToolFinished
from app.core.state import ActiveRun, OpenCall
from app.core.tasks import Tasks
from app.core.tools import ToolOutput
from app.engine.interrupt import is_cancelled
from app.engine.ledger import StoredLedger
from app.engine.plan import call_key
from app.engine.services import Services
from app.engine.shown import Shown
from app.engine.spill import bound_result, fill_arguments, unicode
from app.engine.tenure import Tenure
from app.stores.base import KeyValue
from app.tools.base import Tool, ToolContext

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.05
"""How long the first result of a batch waits for others, so that they are one commit."""
EMITTED_CHARS = 256 * 1024
"""What one call may show while it runs; its result is bounded by itself."""


class Batch:
    """Calls under way, their `tool.started` records durable. Leaving the context stops what still runs."""

    def __init__(
        self, services: Services, tenure: Tenure, shown: Shown, run: ActiveRun, names: tuple[str, ...] | None
    ) -> None:
        self._services = services
        self._tenure = tenure
        self._shown = shown
        self._run = run
        self.ledger = _Ledger(services.stores.keyvalue, tenure)
        self._names = names
        """The tools that the agent may use; None means all."""
        self._running = Tasks()
        self._tasks: tuple[asyncio.Task[list[AnyRecord]], ...] = ()
        self._pending: set[asyncio.Task[list[AnyRecord]]] = set()

    async def __aenter__(self) -> Self:
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.__aexit__(kind, error, trace)

    def start(self, calls: tuple[OpenCall, ...]) -> None:
        """The calls run."""
        self._tasks = tuple(self._running.start(self._carry_out(call)) for call in calls)
        self._pending = set(self._tasks)

    @property
    def is_running(self) -> bool:
        """Says whether there are results to wait for."""
        return bool(self._pending)

    async def results(self) -> list[AnyRecord]:
        """Gives the records of the calls that ended together."""
        done, self._pending = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        if self._pending:
            more, self._pending = await asyncio.wait(self._pending, timeout=GATHER_SECONDS)
            done |= more
        self._shown.flush()
        return [record for task in self._tasks if task in done for record in task.result()]

    async def _carry_out(self, call: OpenCall) -> list[AnyRecord]:
        """Gives the call's records: its result, and what it changes in the state."""
        output, outcome = await self._attempt(call)
        run_id, now = self._run.run_id, self._services.clock.now()
        result = await self._bound(call, output)
        finished = ToolFinished(at=now, run_id=run_id, item=call.item, result=result, outcome=outcome)
        return [finished] if output.patch is None else [replace(output.patch, run_id=run_id), finished]

    async def _bound(self, call: OpenCall, output: ToolOutput) -> ToolResultPart:
        part = ToolResultPart(
            item=call.item, call_id=call.call_id, name=call.name, text=unicode(output.text), is_error=output.is_error
        )
        try:
            return await bound_result(part, self._tenure.key.tenant, self._services.stores.blobs)
        except BatonError as error:
            return replace(part, text=f"Error: the call's result could not be kept: {error}", is_error=True)

    async def _attempt(self, call: OpenCall) -> tuple[ToolOutput, Outcome]:
        """Gives the tool's output. Whatever goes wrong becomes words for the model, never the end of the run."""
        tool = self._tool(call.name)
        if tool is None:
            names = ", ".join(spec.name for spec in self._services.toolbox.specs(self._names))
            return _failure(f"there is no tool called {call.name!r}; there are: {names}"), "error"
        try:
            arguments = await self._arguments(call)
            async with asyncio.timeout(tool.spec.timeout):
                output = await self._call(tool, call, arguments)
        except TimeoutError:
            return _failure(f"the call took longer than {tool.spec.timeout:g} s and was stopped"), "timeout"
        except (ToolError, ClaimLost, StoreUnavailable, RecordTooLarge) as error:
            return _failure(str(error)), "error"
        except Exception as error:
            log.exception("tool %s failed", call.name)
            return _failure(f"the tool failed with an internal {type(error).__name__}"), "error"
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return _failure("the tool's own work was cancelled before it was done"), "error"
        return output, "error" if output.is_error else "ok"

    def _tool(self, name: str) -> Tool | None:
        return self._services.toolbox.get(name) if self._names is None or name in self._names else None

    async def _arguments(self, call: OpenCall) -> str:
        """Gives the call's arguments, once it may start. Raises ClaimLost if it never may; nobody will read of that."""
        blobs = self._services.stores.blobs
        arguments = await fill_arguments(call.arguments, call.blob, self._tenure.key.tenant, blobs)
        await self._tenure.held()
        return arguments

    async def _call(self, tool: Tool, call: OpenCall, arguments: str) -> ToolOutput:
        services, key = self._services, self._tenure.key
        shown = _Output(self._shown, self._run, call)
        context = ToolContext(
            session=key,
            key=call_key(call),
            again=self._run.attempt > 1,
            workspace=services.workspaces.open(key),
            ledger=self.ledger,
            clock=services.clock,
            emit=shown.emit,
        )
        try:
            output = await tool.run(arguments, context)
            if output.patch is not None:
                encode_record(output.patch)
            return output
        finally:
            shown.close()


class _Ledger(StoredLedger):
    """What is noted is about to happen, so it is noted only while this replica may act."""

    def __init__(self, keyvalue: KeyValue, tenure: Tenure) -> None:
        super().__init__(keyvalue, tenure.key)
        self._tenure = tenure

    async def note(self, key: str, data: bytes) -> None:
        await self._tenure.held()
        await super().note(key, data)


class _Output:
    """What one call shows while it runs, up to a bound."""

    def __init__(self, shown: Shown, run: ActiveRun, call: OpenCall) -> None:
        self._shown, self._run, self._call = shown, run, call
        self._left = EMITTED_CHARS

    def close(self) -> None:
        """Nothing more is shown, whatever the tool has left behind."""
        self._left = 0

    def emit(self, text: str) -> None:
        """The text is on its way to whoever watches."""
        if self._left > 0 and text:
            self._shown.add(self._run.run_id, self._call.item, "output", unicode(text[: self._left]))
            self._shown.flush_soon()
        self._left -= len(text)


def _failure(text: str) -> ToolOutput:
    return ToolOutput(text=f"Error: {text}", is_error=True)
