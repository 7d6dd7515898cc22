"""The step that calls the model, and what to do when the call is cut short."""

from collections.abc import Sequence

from app.core.agents import AgentSpec, Limits
from app.core.clock import Clock
from app.core.errors import BatonError, LimitReached, ModelError
from app.core.messages import Message
from app.core.records import AnyRecord, MessageAppended
from app.core.state import AgentState
from app.engine.interrupt import Interrupt, Interrupted
from app.engine.model_call import ModelCall
from app.engine.services import Services
from app.engine.shown import Shown
from app.engine.spill import fill_messages, spill_parts
from app.engine.step import Finish
from app.engine.writer import Writer
from app.llm.base import ModelRequest

MAX_BREAKS = 2
"""How often the model's stream may break after its first delta, per run."""


class ModelStep:
    """Calls the model with the conversation as it stands."""

    def __init__(self, services: Services, writer: Writer, shown: Shown, interrupt: Interrupt) -> None:
        self._services = services
        self._writer = writer
        self._shown = shown
        self._interrupt = interrupt

    async def run(self, spec: AgentSpec) -> None:
        """The answer is recorded, or why there is none."""
        clock: Clock = self._services.clock
        call = ModelCall(self._writer.run, spec.model or self._services.default_model, self._shown, clock)
        seen = self._writer.state.seq
        try:
            model, name = self._services.model(spec.model)
            request = await self._request(spec, name)
            async with self._interrupt.window(self._writer.seconds_left(spec.limits)):
                await self._writer.tenure.held()
                message = await call.run(model, request)
        except Interrupted:
            await self._cut_short(call, seen, spec.limits)
        except (ModelError, LimitReached) as error:
            await self._break(call, seen, error, spec.limits)
        else:
            await self._record([await self._appended(call, message, seen)], spec.limits)

    async def _request(self, spec: AgentSpec, model: str) -> ModelRequest:
        state, tenant = self._writer.state, self._writer.tenure.key.tenant
        return ModelRequest(
            model=model,
            system=_system(spec, state),
            messages=await fill_messages(state.context(), tenant, self._services.stores.blobs),
            tools=self._services.toolbox.specs(spec.tools),
            max_tokens=spec.max_tokens,
        )

    async def _appended(self, call: ModelCall, message: Message, seen: int) -> MessageAppended:
        tenant = self._writer.tenure.key.tenant
        parts = await spill_parts(message.parts, tenant, self._services.stores.blobs)
        return MessageAppended(
            at=self._services.clock.now(),
            run_id=self._writer.run.run_id,
            item=call.item,
            message=Message(role="assistant", parts=parts, incomplete=message.incomplete),
            seen=seen,
            model=call.model,
            stop=call.stop.kind,
            usage=call.usage,
        )

    async def _record(self, records: Sequence[AnyRecord], limits: Limits) -> None:
        """The records replace what was shown, which is open until then: a follower may ask for it meanwhile."""
        await self._writer.settle(records, limits)
        self._shown.close()

    async def _partial(self, call: ModelCall, seen: int) -> list[AnyRecord]:
        message = call.partial()
        return [await self._appended(call, message, seen)] if message else []

    async def _cut_short(self, call: ModelCall, seen: int, limits: Limits) -> None:
        """Somebody cancelled, the run's time is over, or this replica is leaving."""
        self._interrupt.clear()
        await self._writer.tenure.refresh()
        if isinstance(self._writer.next(limits), Finish):
            await self._record(await self._partial(call, seen), limits)
        elif self._writer.draining:
            await self._record([], limits)
        else:
            interrupted = ModelError("the model call was interrupted again and again", retryable=True)
            await self._again(call, seen, interrupted, limits)

    async def _break(self, call: ModelCall, seen: int, error: BatonError, limits: Limits) -> None:
        """The provider failed: once more if it failed in mid-answer, else the run has failed."""
        if isinstance(error, ModelError) and error.retryable and call.has_begun:
            await self._again(call, seen, error, limits)
        else:
            await self._fail(call, seen, error, limits)

    async def _again(self, call: ModelCall, seen: int, error: ModelError, limits: Limits) -> None:
        """What was shown is void and the model is asked once more; but not for ever."""
        if self._writer.run.breaks >= MAX_BREAKS:
            await self._fail(call, seen, error, limits)
            return
        await self._writer.resume("model_stream", limits)
        self._shown.close()

    async def _fail(self, call: ModelCall, seen: int, error: BatonError, limits: Limits) -> None:
        partial = await self._partial(call, seen)
        await self._writer.fail(error, partial, limits)
        self._shown.close()


def _system(spec: AgentSpec, state: AgentState) -> str:
    if state.summary is None:
        return spec.instructions
    return f"{spec.instructions}\n\nWhat was said before, in short:\n{state.summary}"
