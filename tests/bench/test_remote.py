"""The bench over real servers: the targets of the wire hold there, and a Baton that is made worse misses them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.bench import bare, roundtrips
from tests.bench.backings import backing
from tests.bench.mutated import NEEDLESS
from tests.bench.servers import laboratory
from tests.bench.table import Row


@pytest.mark.parametrize(
    ("store", "mutation", "trips", "extra"),
    [("redis", "chatty_redis", 4, 4 * NEEDLESS), ("postgres", "chatty_postgres", 6, 100)],
)
async def test_a_plain_turn_is_two_round_trips_and_more_are_noticed(
    tmp_path: Path, store: str, mutation: str, trips: int, extra: int
) -> None:
    with backing(store) as found:
        with laboratory(tmp_path, None, found) as lab:
            plain = await roundtrips.measure(lab, 3, pause=0.15)
        with laboratory(tmp_path, mutation, found) as lab:
            worse = await roundtrips.measure(lab, 3, pause=0.15)
    for (number, size), (more, larger) in zip(pairs(plain), pairs(worse), strict=True):
        assert (number.value, number.is_missed) == (2, False)
        assert (more.value, more.is_missed) == (trips, True)
        assert larger.value - size.value > 0.9 * extra, "asked and answered, twice a turn"


def pairs(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Gives round trips and bytes, of first and of later turns."""
    return zip(rows[::2], rows[1::2], strict=True)


@pytest.mark.parametrize("mutation", [None, "busy_redis"])
async def test_a_call_of_the_store_that_costs_more_is_noticed(tmp_path: Path, mutation: str | None) -> None:
    with backing("redis") as found, laboratory(tmp_path, mutation, found) as lab:
        submit, _, commit, _ = await bare.measure(lab, 30)
    assert (min(submit.value, commit.value) > 2000) is (mutation is not None), "each was made to cost 2 ms"
    assert submit.floor is not None
    assert submit.floor < 1000
