"""A scrape, parsed as Prometheus would."""

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.observability.exposition import Exposition
from app.observability.metrics import Source

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(*sources: Source) -> "Figures":
    """Gives what a scrape of those sources says."""
    return Figures((await Exposition("1.2.3", sources).scrape()).body)


class Figures:
    """All series of one scrape. Raises AssertionError if one comes twice."""

    def __init__(self, body: bytes) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(body.decode()))
        self.series: Series = {}
        for sample in (sample for family in self.families for sample in family.samples):
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in self.series, f"{series} comes twice"
            self.series[series] = sample.value

    def __getitem__(self, name: str) -> float:
        """Gives the only series of that name, whatever its labels."""
        (value,) = (value for (found, _), value in self.series.items() if found == name)
        return value

    def of(self, name: str, **labels: str) -> float:
        """Gives the sum of all series of that name with those labels."""
        return sum(value for (found, has), value in self.series.items() if found == name and labels.items() <= has)

    def names(self) -> set[str]:
        """Gives the names of all series."""
        return {name for name, _ in self.series}
