"""A metered model: each call is timed, and its end counted, without a look at what it says."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Literal, get_args

from app.core.clock import Clock
from app.core.errors import ModelError
from app.llm.base import Model, ModelEvent, ModelRequest
from app.observability.metrics import WORK_SECONDS, Figure, Histogram, Sample

Outcome = Literal["ok", "retryable", "failed", "cut_off"]

CALLS = Figure("model_calls_total", "Calls of a provider, each retry one more.", ("provider", "outcome"))
FIRST = Figure("model_first_event_seconds", "From a call to its answer's beginning.", ("provider",))
WHOLE = Figure("model_call_seconds", "From a call to its end, whatever that was.", ("provider",))


class MeteredModel:
    """Wraps a provider. Inside a retrying model, so that it sees every call.

    How a call ended: `ok`; `retryable` or `failed`, as the provider's error says; `cut_off`, by us.
    """

    def __init__(self, inner: Model, provider: str, clock: Clock) -> None:
        self._inner = inner
        self._provider = provider
        self._clock = clock
        self._ends: Counter[Outcome] = Counter(dict.fromkeys(get_args(Outcome), 0))
        self._first = Histogram(WORK_SECONDS)
        self._whole = Histogram(WORK_SECONDS)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        began, end = self._clock.monotonic(), "cut_off"
        try:
            async with aclosing(self._inner.stream(request)) as batches:
                async for batch in batches:
                    self._first.observe(self._clock.monotonic() - began)
                    yield batch
                    break
                async for batch in batches:
                    yield batch
            end = "ok"
        except ModelError as error:
            end = "retryable" if error.retryable else "failed"
            raise
        except Exception:
            end = "failed"
            raise
        finally:
            self._ends[end] += 1
            self._whole.observe(self._clock.monotonic() - began)

    def samples(self) -> Iterable[Sample]:
        yield from (CALLS.of(count, self._provider, end) for end, count in self._ends.items())
        yield FIRST.of(self._first, self._provider)
        yield WHOLE.of(self._whole, self._provider)
