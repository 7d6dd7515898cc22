"""Exposition: what Prometheus is told when it asks (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import accumulate
from platform import python_version

from msgspec import Struct
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from app.observability.metrics import Figure, Histogram, Sample, Source

PREFIX = "baton_"
PLAIN = choose_encoder("")
OPENMETRICS = choose_encoder("application/openmetrics-text")


class Scrape(Struct, frozen=True):
    """All figures of one moment, as text."""

    body: bytes
    media_type: str


class Exposition:
    """The figures of one process: of all sources, of the process itself, and of the program."""

    def __init__(self, version: str, sources: Sequence[Source]) -> None:
        self._version = version
        self._sources = tuple(sources)
        self._process = ProcessCollector(registry=None)

    async def scrape(self, accept: str = "") -> Scrape:
        """Gives all figures in the format that the Accept header asks for: OpenMetrics, or Prometheus' own."""
        families = self.families()  # here, where nothing is counted meanwhile; the rest may take its time elsewhere
        return await asyncio.to_thread(self._write, families, wants_openmetrics="openmetrics-text" in accept)

    def families(self) -> list[Metric]:
        """Gives what the sources have counted."""
        grouped: dict[Figure, list[Sample]] = {}
        for source in self._sources:
            for sample in source.samples():
                grouped.setdefault(sample.figure, []).append(sample)
        return [_family(figure, samples) for figure, samples in grouped.items()]

    def _write(self, families: list[Metric], *, wants_openmetrics: bool) -> Scrape:
        build = {"version": self._version, "python": python_version()}
        about = InfoMetricFamily(f"{PREFIX}build", "What runs here.", value=build)
        found = _Found([about, *self._process.collect(), *families])
        encode, media_type = OPENMETRICS if wants_openmetrics else PLAIN
        return Scrape(encode(found), media_type)


class _Found:
    """What was collected, as the client library wants to be told of it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(figure: Figure, samples: Iterable[Sample]) -> Metric:
    name, labels = PREFIX + figure.name, figure.labels
    counts = name.endswith("_total")
    numbers = (CounterMetricFamily if counts else GaugeMetricFamily)(name, figure.meaning, labels=labels)
    histograms = HistogramMetricFamily(name, figure.meaning, labels=labels)
    for sample in samples:
        if isinstance(sample.value, Histogram):
            histograms.add_metric(sample.labels, _buckets(sample.value), sample.value.total)
        else:
            numbers.add_metric(sample.labels, sample.value)
    return histograms if histograms.samples else numbers


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Gives how many values lie within each bound, the smaller ones included."""
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
