"""The bench can fail: each measure is seen to miss its target when Baton is made worse where it measures."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench import environment, footprint, gaps, growth, rates, roundtrips, streaming
from tests.bench.__main__ import main
from tests.bench.mutated import MUTATIONS
from tests.bench.servers import laboratory
from tests.bench.table import Row, missed, shown

SMALL = streaming.Plan(rounds=1, streams=4, chunks=20, paces=(5,), firsts=5)


@pytest.mark.parametrize(
    ("row", "is_missed"),
    [
        (Row(what="r", value=14, floor=10, unit="us", how="ratio", target=1.5), False),
        (Row(what="r", value=16, floor=10, unit="us", how="ratio", target=1.5), True),
        (Row(what="r", value=16, floor=0, unit="us", how="ratio", target=1.5), True),
        (Row(what="o", value=6, floor=2, unit="ms", how="over", target=5), False),
        (Row(what="o", value=8, floor=2, unit="ms", how="over", target=5), True),
        (Row(what="v", value=2, unit="", target=2), False),
        (Row(what="v", value=3, unit="", target=2), True),
        (Row(what="v", value=float("nan"), unit="", target=2), True),
        (Row(what="i", value=1e9, unit="us"), False),
    ],
)
def test_a_row_beyond_its_target_is_missed(row: Row, is_missed: bool) -> None:
    assert row.is_missed is is_missed
    assert missed([row]) == [row.what] * is_missed
    assert ("MISS" in shown([row])) is is_missed


async def test_a_busy_chunk_is_noticed(tmp_path: Path) -> None:
    with laboratory(tmp_path, "busy_chunk") as lab:
        rows = await streaming.measure(lab, SMALL)
    assert rows[0].is_missed
    assert rows[0].value > 1000, "a chunk was made to cost 2 ms, and some are sent together"


async def test_a_late_first_token_is_noticed_and_makes_fewer_streams_a_second(tmp_path: Path) -> None:
    with laboratory(tmp_path, "slow_first") as lab:
        rows = await streaming.measure(lab, SMALL)
        (rate,) = await rates.measure(lab, rates.Plan(rounds=1, seconds=0.4, clients=(10,)))
    assert rows[-1].is_missed
    assert rate.value <= 50, "each request was made to stop the server for 20 ms"
    assert rate.judged < 1


async def test_a_server_that_stands_still_now_and_then_is_noticed(tmp_path: Path) -> None:
    with laboratory(tmp_path, "stutter") as lab:
        (row,) = await gaps.measure(lab, [gaps.Crowd(20, 50, ramp=0.1, seconds=0.5)])
    assert row.value > 50 + 40, "a third of the frames were made to come up to 100 ms late"


@pytest.mark.parametrize(("mutation", "is_missed"), [(None, False), ("extra_round_trip", True)])
async def test_a_plain_turn_is_two_round_trips_and_a_third_is_noticed(
    tmp_path: Path, mutation: str | None, is_missed: bool
) -> None:
    with laboratory(tmp_path, mutation) as lab:
        rows = await roundtrips.measure(lab, 3, pause=0.15)
    assert [row.is_missed for row in rows] == [is_missed, is_missed]


async def test_turns_that_grow_are_noticed(tmp_path: Path) -> None:
    with laboratory(tmp_path, "growing_turn") as lab:
        early, _, late, _ = await growth.measure(lab, places=(20, 60), window=4)
    assert late.is_missed
    assert late.judged > early.judged


async def test_a_heavy_stream_is_noticed(tmp_path: Path) -> None:
    with laboratory(tmp_path, "heavy_stream") as lab:
        follower, _ = await footprint.measure_streams(lab, 20)
    assert follower.is_missed


@pytest.mark.parametrize(("mutation", "place"), [("slow_start", 0), ("heavy_start", 1)])
async def test_a_slow_or_heavy_start_is_noticed(tmp_path: Path, mutation: str, place: int) -> None:
    with laboratory(tmp_path, mutation) as lab:
        rows = await footprint.measure_start(lab, 1)
    assert rows[place].is_missed


def test_every_mutation_is_one_of_these() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in MUTATIONS if f'"{name}"' not in source] == []


def test_the_environment_is_what_the_server_needs() -> None:
    names = set(environment.closure("baton"))
    assert {"fastapi", "starlette", "pydantic-core", "aiohttp", "uvloop"} <= names
    assert not {"pytest", "psutil", "ruff", "openai"} & names
    (row,) = environment.measure()
    assert row.value > 10


def test_the_floor_is_one_short_file_without_baton() -> None:
    text = Path(__file__).with_name("floor.py").read_text("utf-8")
    assert text.count("\n") <= 60
    assert not {"app", "baton"} & set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))


def test_a_miss_is_the_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "TARGET_MIB", 1)
    assert main(["--only", "environment"]) == 1
    assert "missed: runtime environment" in capsys.readouterr().out
    monkeypatch.setattr(environment, "TARGET_MIB", 10_000)
    assert main(["--only", "environment"]) == 0


def test_a_store_that_cannot_be_had_is_left_out_and_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing(*_: Any) -> list[Row]:
        return []

    monkeypatch.setattr("tests.bench.__main__.over", nothing)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BATON_TEST_REQUIRE", raising=False)
    assert main(["--store", "sqlite", "redis"]) == 0
    assert "redis is left out: redis-server is not installed" in capsys.readouterr().out
    assert main(["--store", "redis"]) == 1, "nothing was measured"
    monkeypatch.setenv("BATON_TEST_REQUIRE", "all")
    assert main(["--store", "sqlite", "redis"]) == 1
    assert "not measured: redis" in capsys.readouterr().out
