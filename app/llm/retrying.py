"""Retrying: a model that asks again when asking again may help, and nothing was shown yet."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from app.core.clock import Clock
from app.core.errors import ModelError
from app.llm.base import Model, ModelEvent, ModelRequest


class RetryingModel:
    """Wraps a model: up to `retries` more tries, after `base * 2**n` seconds, of which a random half is left out.

    `rand` gives a number from 0 to 1. The wait a provider asks for counts, up to `cap` seconds, as the least.
    """

    def __init__(
        self,
        inner: Model,
        clock: Clock,
        rand: Callable[[], float],
        *,
        retries: int = 3,
        base: float = 0.5,
        cap: float = 30.0,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._rand = rand
        self._retries = retries
        self._base = base
        self._cap = cap

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        for attempt in range(self._retries + 1):
            shown = False
            try:
                async with aclosing(self._inner.stream(request)) as batches:
                    async for batch in batches:
                        shown = shown or bool(batch)
                        yield batch
            except ModelError as error:
                if shown or not error.retryable or attempt == self._retries:
                    raise
                delay = self._delay(attempt, error.retry_after or 0.0)
            else:
                return
            await self._clock.sleep(delay)

    def _delay(self, attempt: int, asked: float) -> float:
        backoff = self._base * 2**attempt * (1 + self._rand()) / 2
        return min(self._cap, max(backoff, asked))
