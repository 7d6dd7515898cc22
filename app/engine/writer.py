"""The writer: commits what a step produced with all that follows from it, and lets go when nothing is left to do."""

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from app.core.agents import AgentSpec, Limits
from app.core.errors import BatonError
from app.core.records import AnyRecord, Effect, Fault, RunFinished, RunResumed
from app.core.state import ActiveRun, AgentState, OpenCall
from app.engine.plan import plan
from app.engine.services import Services
from app.engine.spill import unicode
from app.engine.step import CallModel, Finish, Idle, RunTools, Step, Suspend, next_step
from app.engine.tenure import Tenure
from app.stores.base import Release
from app.stores.head import Claimant

log = logging.getLogger(__name__)

FAULT_CHARS = 2000
"""What a record says of an error, at most."""
SLACK_SECONDS = 0.01
"""How late a deadline is noticed, lest a timer that is early by its own resolution finds time left."""

ResumeReason = Literal["takeover", "handover", "woken", "model_stream"]


class Writer:
    """Decides by `next_step`, writes by `plan`, through one tenure."""

    def __init__(self, services: Services, tenure: Tenure, heir: Callable[[], Claimant | None]) -> None:
        self.tenure = tenure
        self.draining = False
        self._services = services
        self._heir = heir

    @property
    def state(self) -> AgentState:
        """Gives the state as of the last commit."""
        return self.tenure.state

    @property
    def run(self) -> ActiveRun:
        """Gives the active run; only asked while there is one."""
        run = self.state.run
        if run is None:
            raise RuntimeError("no run is active")
        return run

    async def spec(self) -> AgentSpec | None:
        """Gives the agent as it was when the run began, or None between runs. Raises AgentNotFound."""
        run = self.state.run
        return None if run is None else await self._services.catalog.by_digest(run.agent_digest)

    def next(self, limits: Limits) -> Step:
        """Gives the next step."""
        return next_step(self.state, limits, self._services.clock.now())

    def seconds_left(self, limits: Limits) -> float:
        """Gives the wall time that the run may still take."""
        elapsed = (self._services.clock.now() - self.run.started_at).total_seconds()
        return limits.seconds - elapsed + SLACK_SECONDS

    async def settle(self, records: Sequence[AnyRecord], limits: Limits, *, busy: bool = False) -> None:
        """The records and all that follows from them are durable; the session is let go if nothing is left to do.

        When others' records turn up first, it is decided again in their light. `busy`: calls are still under way, so
        nothing follows yet.
        """
        if busy:
            await self.tenure.commit(records)
            return
        while True:
            planned = plan(self.state, records, limits, self._effect_of, self._services.clock.now())
            if await self.tenure.commit(planned.records, self._release(planned.then)):
                return

    async def fail(self, error: BatonError, records: Sequence[AnyRecord], limits: Limits) -> None:
        """The run is finished as failed, after those records."""
        fault = Fault(code=error.code, message=unicode(str(error)[:FAULT_CHARS]))
        now, run = self._services.clock.now(), self.run
        end = RunFinished(at=now, run_id=run.run_id, status="failed", error=fault, usage=run.usage)
        await self.settle([*records, end], limits)

    async def resume(self, reason: ResumeReason, limits: Limits) -> None:
        """What was shown of open items is void, and calls under way are in doubt; the run goes on from the log."""
        now, run, epoch = self._services.clock.now(), self.run, self.tenure.claim.epoch
        attempt = run.attempt + (reason != "model_stream")
        record = RunResumed(at=now, run_id=run.run_id, attempt=attempt, reason=reason, epoch=epoch)
        await self.settle([record], limits)
        log.info("the run goes on", extra={"reason": reason, "attempt": attempt})

    def _effect_of(self, call: OpenCall) -> Effect:
        """Gives what the call's tool declares; a call that cannot run, or will not start here, is pure."""
        tool = self._services.toolbox.get(call.name)
        return Effect.PURE if tool is None or self.draining else tool.spec.effect

    def _release(self, then: Step) -> Release | None:
        match then:
            case Idle():
                return Release(self._heir())
            case Suspend():
                return Release()
            case CallModel() | RunTools() | Finish():
                return Release() if self.draining else None
