"""The step that runs a batch of tool calls, and what to do when it is cut short."""

from contextlib import suppress

from app.core.agents import AgentSpec
from app.core.errors import StoreUnavailable
from app.core.records import AnyRecord, Effect, ToolFinished
from app.core.state import OpenCall
from app.engine.batch import Batch
from app.engine.interrupt import Interrupt, Interrupted
from app.engine.plan import finish_call
from app.engine.services import Services
from app.engine.shown import Shown
from app.engine.step import Finish, RunTools
from app.engine.writer import Writer

CANCELLED = "This call was stopped: the run was ended while it was under way. It may have taken effect in part."


class ToolStep:
    """Carries out calls whose `tool.started`, where they need one, is durable under the claim in force."""

    def __init__(self, services: Services, writer: Writer, shown: Shown, interrupt: Interrupt) -> None:
        self._services = services
        self._writer = writer
        self._shown = shown
        self._interrupt = interrupt
        self.is_repeatable = False
        """Whether calls are under way that may all be stopped and run again elsewhere."""

    async def run(self, spec: AgentSpec, step: RunTools) -> None:
        """Every call of the batch has its result, or the run is over or let go."""
        self.is_repeatable = all(call.effect is not Effect.UNSAFE for call in step.calls)
        try:
            finished = await self._carry_out(spec, step.calls)
        finally:
            self.is_repeatable = False
            self._shown.close()
        if not finished:
            await self._cut_short(spec)

    async def _carry_out(self, spec: AgentSpec, calls: tuple[OpenCall, ...]) -> bool:
        """Commits results as calls end. False: the wait was cut short, and what still ran has been stopped."""
        async with Batch(self._services, self._writer.tenure, self._shown, self._writer.run, spec.tools) as batch:
            batch.start(calls)
            while batch.is_running:
                try:
                    async with self._interrupt.window(self._writer.seconds_left(spec.limits)):
                        records = await batch.results()
                except Interrupted:
                    return False
                self._shown.flush()
                await self._writer.settle(records, spec.limits, busy=batch.is_running)
                for record in records:
                    if isinstance(record, ToolFinished):
                        self._shown.drop(record.item)
                if batch.is_running and self._writer.run.cancelling:
                    return False
            await self._forget(batch)
        return True

    async def _forget(self, batch: Batch) -> None:
        """The calls' notes are gone, or lie there until their session is deleted: nobody will read them."""
        with suppress(StoreUnavailable):
            await batch.ledger.forget()

    async def _cut_short(self, spec: AgentSpec) -> None:
        """Somebody cancelled, the run's time is over, or this replica is leaving: then the calls are in doubt."""
        self._interrupt.clear()
        await self._writer.tenure.refresh()
        if isinstance(self._writer.next(spec.limits), Finish):
            await self._writer.settle(self._stopped(), spec.limits)
        elif self._writer.draining:
            await self._writer.settle([], spec.limits)
        else:
            await self._writer.resume("handover", spec.limits)

    def _stopped(self) -> list[AnyRecord]:
        now, run = self._services.clock.now(), self._writer.run
        started = [call for call in run.calls if call.status == "started"]
        return [finish_call(call, CANCELLED, "cancelled", now, run.run_id) for call in started]
