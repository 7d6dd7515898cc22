"""The runner: decide, carry out, commit, until the session is let go.

What comes next is `step.py`, what is written is `plan.py` and `writer.py`, how a step is carried out is `model_step.py`
and `tool_step.py`. Recovery is nothing special: a runner starts from whatever the log says.
"""

from collections.abc import Callable

from app.core.agents import AgentSpec, Limits
from app.core.errors import AgentNotFound, BlobNotFound, InvalidInput
from app.core.records import Effect
from app.core.state import OpenCall
from app.engine.interrupt import Interrupt
from app.engine.model_step import ModelStep
from app.engine.services import Services
from app.engine.shown import Shown
from app.engine.step import CallModel, Finish, Idle, RunTools, Step, Suspend
from app.engine.tenure import Tenure
from app.engine.tool_step import ToolStep
from app.engine.writer import ResumeReason, Writer
from app.stores.head import Claimant


class Runner:
    """Carries out the runs of one session, one after the other, under one tenure."""

    def __init__(self, services: Services, tenure: Tenure, heir: Callable[[], Claimant | None]) -> None:
        self.tenure = tenure
        self.shown = Shown(tenure, services.stores.bus, services.clock)
        self._interrupt = Interrupt()
        self._writer = Writer(services, tenure, heir)
        self._model_step = ModelStep(services, self._writer, self.shown, self._interrupt)
        self._tool_step = ToolStep(services, self._writer, self.shown, self._interrupt)

    async def run(self, resumed: ResumeReason | None) -> None:
        """Every run of the session is finished, suspended or handed on. Raises ClaimLost if the session was taken."""
        if resumed is not None:
            woken = resumed == "handover" and self._writer.run.suspended is not None
            await self._writer.resume("woken" if woken else resumed, await self._limits())
        while self.tenure.is_held:
            await self._step()

    def interrupt(self) -> None:
        """What the runner waits for is cut short, and it looks at the log."""
        self._interrupt.fire()

    def drain(self) -> None:
        """The session is let go between two steps, or at once where nothing is lost by it."""
        self._writer.draining = True
        if self._tool_step.is_repeatable:
            self._interrupt.fire()

    async def _limits(self) -> Limits:
        try:
            spec = await self._writer.spec()
        except AgentNotFound:
            spec = None
        return spec.limits if spec else Limits()

    async def _step(self) -> None:
        """One step further. What can never be read or recorded ends the run, not the session."""
        if self._interrupt.is_fired:  # between two waits, or for a run that has ended meanwhile
            self._interrupt.clear()
            await self._writer.tenure.refresh()
        limits = Limits()
        try:
            spec = await self._writer.spec()
            limits = spec.limits if spec else limits
            await self._carry_out(self._writer.next(limits), spec, limits)
        except (AgentNotFound, BlobNotFound, InvalidInput) as error:
            self.shown.close()
            await self._writer.fail(error, [], limits)

    async def _carry_out(self, step: Step, spec: AgentSpec | None, limits: Limits) -> None:
        leaving = self._writer.draining
        match step:
            case CallModel() if spec and not leaving:
                await self._model_step.run(spec)
            case RunTools(calls=calls) if spec and (not leaving or any(map(_cannot_wait, calls))):
                await self._tool_step.run(spec, step)
            case Idle() | Suspend() | Finish() | CallModel() | RunTools():
                await self._writer.settle([], limits)


def _cannot_wait(call: OpenCall) -> bool:
    """Says whether nobody else would run the call, because we have said that we do."""
    return call.status == "started" and call.effect is Effect.UNSAFE
