"""Histograms count as Prometheus does, and a scrape says what was counted, in both formats."""

import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from app.observability.exposition import Exposition
from app.observability.lag import PROBE_SECONDS, LoopLag
from app.observability.metrics import Figure, Histogram, Sample
from app.testing.clock import ManualClock
from tests.unit.observability.scrapes import Figures, scraped

SIZES = Figure("size_bytes", "How large.", ("kind",))
COUNT = Figure("things_total", "How many.", ("kind",))
NOW = Figure("things_open", 'How many are open.\nWith "quotes" and \\.')


class Shop:
    """A source with one of each kind."""

    def __init__(self) -> None:
        self.sizes = Histogram((1, 2.5, 10))

    def samples(self) -> Iterable[Sample]:
        yield SIZES.of(self.sizes, "a")
        yield NOW.of(3)
        yield COUNT.of(1, "a")
        yield COUNT.of(2, 'b"\n\\é')


async def test_a_value_on_a_bound_is_within_it() -> None:
    shop = Shop()
    for value in (0.5, 1, 1.001, 2.5, 10, 11, 1e9):
        shop.sizes.observe(value)
    found = await scraped(shop)
    buckets = [found.of("baton_size_bytes_bucket", le=bound) for bound in ("1.0", "2.5", "10.0", "+Inf")]
    assert buckets == [2, 4, 5, 7]
    assert found["baton_size_bytes_count"] == 7
    assert found["baton_size_bytes_sum"] == pytest.approx(sum((0.5, 1, 1.001, 2.5, 10, 11, 1e9)))


async def test_every_kind_of_figure_is_told_as_what_it_is() -> None:
    found = await scraped(Shop())
    kinds = {family.name: family.type for family in found.families if family.name.startswith("baton_")}
    assert kinds == {
        "baton_build_info": "gauge",
        "baton_size_bytes": "histogram",
        "baton_things": "counter",
        "baton_things_open": "gauge",
    }
    assert found.of("baton_things_total", kind='b"\n\\é') == 2
    assert found["baton_things_open"] == 3


async def test_the_program_and_its_process_are_told_of() -> None:
    found = await scraped()
    assert found.of("baton_build_info", version="1.2.3") == 1
    assert found["process_resident_memory_bytes"] > 1e6
    assert found["process_open_fds"] >= 3
    assert found["process_cpu_seconds_total"] > 0


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        "text/plain;version=nonsense",
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
        "application/openmetrics-text;version=nonsense",
    ],
)
async def test_the_format_is_the_one_that_was_asked_for(accept: str) -> None:
    shop = Shop()
    shop.sizes.observe(3)
    found = await Exposition("1", [shop]).scrape(accept)
    is_open = "openmetrics" in accept
    kind = "application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4"
    assert found.media_type == f"{kind}; charset=utf-8"
    assert found.body.endswith(b"# EOF\n") == is_open
    assert "baton_size_bytes" in {family.name for family in parsed(found.body.decode(), is_open=is_open)}


def parsed(text: str, *, is_open: bool) -> Iterable[Metric]:
    if is_open:
        return openmetrics.text_string_to_metric_families(text)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return text_string_to_metric_families(text)


async def test_two_sources_may_share_a_figure() -> None:
    class Other:
        def samples(self) -> Iterable[Sample]:
            yield COUNT.of(5, "c")

    found = await scraped(Shop(), Other())
    assert found.of("baton_things_total") == 8


async def test_the_same_series_twice_is_noticed() -> None:
    with pytest.raises(AssertionError, match="comes twice"):
        await scraped(Shop(), Shop())
    assert Figures(b"").series == {}


async def test_the_loops_lag_is_how_late_a_timer_is() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    probing = asyncio.create_task(lag.probe_forever())
    for late in (0.0, 0.2):
        while not clock.sleepers:
            await asyncio.sleep(0)
        clock.advance(PROBE_SECONDS + late)
    while not clock.sleepers:
        await asyncio.sleep(0)
    probing.cancel()
    found = await scraped(lag)
    assert found["baton_event_loop_lag_seconds_count"] == 2
    assert found["baton_event_loop_lag_seconds_sum"] == pytest.approx(0.2)
