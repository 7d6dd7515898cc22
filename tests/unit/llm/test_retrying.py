"""Retrying: when it asks again, how long it waits, and when it does not."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from app.core.errors import ModelError
from app.core.messages import StopReason, Usage
from app.llm.base import Finished, ModelEvent, ModelRequest, TextDelta
from app.llm.openai import OpenAIModel
from app.llm.retrying import RetryingModel
from tests.support.provider import FakeProvider, answer, refusal
from tests.unit.llm.requests import InstantClock, ask, events, text_of

OVER = ModelError("overloaded", retryable=True)
WHOLE: list[Sequence[ModelEvent]] = [(TextDelta("hi"),), (Finished(StopReason("end"), Usage()),)]


class Unreliable:
    """A model that plays one list per request: batches, and errors to raise."""

    def __init__(self, *plays: Sequence[Sequence[ModelEvent] | ModelError]) -> None:
        self.plays = list(plays)
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        try:
            for item in self.plays.pop(0):
                if isinstance(item, ModelError):
                    raise item
                yield item
        finally:
            self.closed += 1


def patient(inner: Unreliable | OpenAIModel, clock: InstantClock, rand: float = 1.0) -> RetryingModel:
    return RetryingModel(inner, clock, lambda: rand)


async def test_asks_again_after_growing_waits(clock: InstantClock) -> None:
    assert text_of(await events(patient(Unreliable([OVER], [OVER], [OVER], WHOLE), clock), ask())) == "hi"
    assert clock.slept == [0.5, 1.0, 2.0]


async def test_chance_takes_off_up_to_half_of_a_wait(clock: InstantClock) -> None:
    await events(patient(Unreliable([OVER], [OVER], WHOLE), clock, rand=0.0), ask())
    assert clock.slept == [0.25, 0.5]


async def test_the_fourth_failure_is_passed_on(clock: InstantClock) -> None:
    inner = Unreliable(*[[OVER]] * 5)
    with pytest.raises(ModelError, match="overloaded"):
        await events(patient(inner, clock), ask())
    assert len(inner.plays) == 1
    assert len(clock.slept) == 3


async def test_no_retries_means_none(clock: InstantClock) -> None:
    with pytest.raises(ModelError, match="overloaded"):
        await events(RetryingModel(Unreliable([OVER], WHOLE), clock, lambda: 1.0, retries=0), ask())
    assert clock.slept == []


async def test_what_stays_is_passed_on_at_once(clock: InstantClock) -> None:
    with pytest.raises(ModelError, match="wrong key"):
        await events(patient(Unreliable([ModelError("wrong key")], WHOLE), clock), ask())
    assert clock.slept == []


async def test_an_error_behind_the_first_event_is_passed_on_at_once(clock: InstantClock) -> None:
    async with aclosing(patient(Unreliable([(TextDelta("h"),), OVER], WHOLE), clock).stream(ask())) as batches:
        assert await anext(batches) == (TextDelta("h"),)
        with pytest.raises(ModelError, match="overloaded"):
            await anext(batches)
    assert clock.slept == []


async def test_an_empty_batch_shows_nothing(clock: InstantClock) -> None:
    assert text_of(await events(patient(Unreliable([(), OVER], WHOLE), clock), ask())) == "hi"


@pytest.mark.parametrize(("asked", "waited"), [(0.1, 0.5), (7.0, 7.0), (3600.0, 30.0), (0.0, 0.5)])
async def test_the_wait_a_provider_asks_for_is_the_least(clock: InstantClock, asked: float, waited: float) -> None:
    busy = ModelError("slow down", retryable=True, retry_after=asked)
    await events(patient(Unreliable([busy], WHOLE), clock), ask())
    assert clock.slept == [waited]


async def test_closing_it_closes_the_model_within(clock: InstantClock) -> None:
    inner = Unreliable(WHOLE)
    async with aclosing(patient(inner, clock).stream(ask())) as batches:
        await anext(batches)
        assert inner.closed == 0
    assert inner.closed == 1


async def test_over_a_real_socket(clock: InstantClock, model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(refusal(429, "slow down", {"Retry-After": "3"}), refusal(503, "oops"), answer("hi"))
    assert text_of(await events(patient(model, clock), ask())) == "hi"
    assert clock.slept == [3.0, 1.0]
