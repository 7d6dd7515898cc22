"""Metered ports, models and tools do what those do, and count it."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import pytest

from app.core.errors import ModelError, StaleClaim, ToolError
from app.core.messages import StopReason, Usage
from app.core.tools import ToolOutput, ToolSpec
from app.llm.base import Finished, Model, ModelEvent, ModelRequest, TextDelta
from app.llm.metered import MeteredModel
from app.llm.retrying import RetryingModel
from app.stores.base import Blobs, Heads, KeyValue, Replicas, Runs, Sessions
from app.stores.bundle import Stores
from app.stores.metered import StoreMeter, metered
from app.stores.tally import Tally
from app.testing.clock import ManualClock
from app.tools.base import ToolContext
from app.tools.metered import MeteredTool
from app.tools.todos import TodoWrite
from tests.contracts.scenes import key
from tests.unit.observability.scrapes import scraped

PORTS: dict[str, type] = {
    "sessions": Sessions,
    "runs": Runs,
    "heads": Heads,
    "replicas": Replicas,
    "keyvalue": KeyValue,
    "blobs": Blobs,
}
METHODS = [(port, name) for port, kind in PORTS.items() for name in vars(kind) if not name.startswith("_")]
REQUEST = ModelRequest(model="m", system="", messages=())


class Result:
    """Stands for whatever a call gives: it has nothing in it, and counts for nothing."""

    written = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __radd__(self, other: int) -> int:
        return other


class Recorder:
    """A port that keeps what it is called with; each call takes a second of the clock."""

    def __init__(self, clock: ManualClock, error: BaseException | None = None) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.result = Result()
        self._clock, self._error = clock, error

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*args: object) -> Result:
            self.calls.append((method, args))
            self._clock.advance(1)
            if self._error is not None:
                raise self._error
            return self.result

        return call


def around(inner: Recorder, meter: StoreMeter) -> Stores:
    """Gives metered stores of which every port is the recorder."""
    port = cast("Any", inner)
    stores = Stores(
        sessions=port, runs=port, heads=port, replicas=port, keyvalue=port, blobs=port, bus=port, pulse=port.pulse
    )
    return metered(stores, meter, Tally(()))


def parameters(function: object) -> list[tuple[str, object]]:
    wanted = inspect.signature(cast("Callable[..., Any]", function)).parameters.values()
    return [(one.name, one.default) for one in wanted if one.name != "self"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def meter(clock: ManualClock) -> StoreMeter:
    return StoreMeter("memory", clock)


def test_every_port_is_metered_but_the_bus(clock: ManualClock, meter: StoreMeter) -> None:
    inner = Recorder(clock)
    stores = around(inner, meter)
    left = {name for name in Stores.__struct_fields__ if getattr(stores, name) is cast("Any", inner)}
    assert left == {"bus"}
    assert set(PORTS) | {"bus", "pulse", "sources"} == set(Stores.__struct_fields__)


@pytest.mark.parametrize(("port", "method"), METHODS)
async def test_a_call_goes_through_as_it_is(port: str, method: str, clock: ManualClock, meter: StoreMeter) -> None:
    inner = Recorder(clock)
    wrapped = getattr(around(inner, meter), port)
    wanted = getattr(PORTS[port], method)
    assert parameters(getattr(wrapped, method)) == parameters(wanted)
    given = tuple(object() for _ in parameters(wanted))
    result = await getattr(wrapped, method)(*given)
    assert inner.calls == [(method, given)]
    assert result is (None if inspect.signature(wanted).return_annotation is None else inner.result)
    found = await scraped(meter)
    assert found.of("baton_store_call_seconds_count", backend="memory", method=f"{port}.{method}") == 1
    assert found["baton_store_call_seconds_sum"] == 1
    assert found.of("baton_store_errors_total") == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StaleClaim("not yours"), "stale_claim"),
        (ValueError("a bug"), "internal"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_an_error_is_counted_by_its_code_and_goes_on(
    error: BaseException, code: str, clock: ManualClock, meter: StoreMeter
) -> None:
    with pytest.raises(type(error)):
        await around(Recorder(clock, error), meter).heads.peek([key()])
    found = await scraped(meter)
    assert found.of("baton_store_errors_total", method="heads.peek", code=code) == 1
    assert found["baton_store_call_seconds_count"] == 1


class Reciter:
    """A model that says three pieces, a second each, and then fails or ends."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self._clock, self._errors = clock, list(errors)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        self._clock.advance(1)
        if self._errors:
            raise self._errors.pop(0)
        for piece in "abc":
            yield [TextDelta(piece)]
            self._clock.advance(1)
        yield [Finished(StopReason("end"), Usage())]


async def said(model: Model, pieces: int = 10) -> int:
    """Gives how many batches came, of that many at the most."""
    count = 0
    async with aclosing(model.stream(REQUEST)) as batches:
        async for _ in batches:
            count += 1
            if count == pieces:
                break
    return count


async def test_a_model_call_is_timed_to_its_beginning_and_to_its_end(clock: ManualClock) -> None:
    model = MeteredModel(Reciter(clock), "p", clock)
    assert await said(model) == 4
    found = await scraped(model)
    assert found["baton_model_first_event_seconds_sum"] == 1
    assert found["baton_model_call_seconds_sum"] == 4
    assert found.of("baton_model_calls_total", provider="p", outcome="ok") == found.of("baton_model_calls_total") == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ModelError("busy", retryable=True), "retryable"),
        (ModelError("refused"), "failed"),
        (ValueError("a bug"), "failed"),
    ],
)
async def test_a_model_call_is_counted_by_how_it_ended(error: Exception, outcome: str, clock: ManualClock) -> None:
    model = MeteredModel(Reciter(clock, error), "p", clock)
    with pytest.raises(type(error)):
        await said(model)
    found = await scraped(model)
    assert found.of("baton_model_calls_total", outcome=outcome) == found.of("baton_model_calls_total") == 1
    assert (found["baton_model_first_event_seconds_count"], found["baton_model_call_seconds_sum"]) == (0, 1)


async def test_a_model_call_that_is_cut_off_is_no_error(clock: ManualClock) -> None:
    model = MeteredModel(Reciter(clock), "p", clock)
    for pieces in (1, 2):
        assert await said(model, pieces) == pieces
    found = await scraped(model)
    assert found.of("baton_model_calls_total", outcome="cut_off") == found.of("baton_model_calls_total") == 2


async def test_each_retry_is_a_call_more(clock: ManualClock) -> None:
    model = MeteredModel(Reciter(clock, ModelError("busy", retryable=True)), "p", clock)
    assert await said(RetryingModel(model, clock, lambda: 0.5, base=0)) == 4
    found = await scraped(model)
    assert found.of("baton_model_calls_total", outcome="retryable") == 1
    assert found.of("baton_model_calls_total", outcome="ok") == 1


class Slow:
    """A tool that takes two seconds and may fail."""

    def __init__(self, clock: ManualClock, error: Exception | None = None) -> None:
        self._clock, self._error = clock, error

    @property
    def spec(self) -> ToolSpec:
        return TodoWrite().spec

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        self._clock.advance(2)
        if self._error is not None:
            raise self._error
        return ToolOutput(text=arguments)


async def test_a_tool_call_is_timed(clock: ManualClock) -> None:
    tool, context = MeteredTool(Slow(clock), clock), cast("ToolContext", None)
    assert tool.spec == TodoWrite().spec
    assert (await tool.run("x", context)).text == "x"
    failing = MeteredTool(Slow(clock, ToolError("no")), clock)
    with pytest.raises(ToolError):
        await failing.run("x", context)
    for one in (tool, failing):
        assert (await scraped(one)).of("baton_tool_call_seconds_sum", tool=tool.spec.name) == 2
