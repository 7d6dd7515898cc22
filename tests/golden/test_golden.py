"""Logs written by earlier versions add up to the same states, for ever."""

from pathlib import Path

import pytest

from app.core.encoding import load_entry
from app.core.fold import fold
from app.core.records import Entry
from app.core.state import AgentState, decode_state
from tests.golden.cases import CASES, plain_turn
from tests.golden.write import HERE, main, write
from tests.support.contexts import faults_of

NAMES = sorted(path.stem for path in HERE.glob("*.jsonl"))


def load(name: str) -> list[Entry]:
    lines = (HERE / f"{name}.jsonl").read_bytes().splitlines()
    return [load_entry(seq, line) for seq, line in enumerate(lines, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_log_replays(name: str) -> None:
    state = fold(AgentState(), load(name))
    assert state == decode_state((HERE / f"{name}.state.json").read_bytes())
    assert faults_of(state.messages) == []


def test_every_case_was_written() -> None:
    assert sorted(CASES) == NAMES


def test_a_golden_is_never_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("fresh", plain_turn(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="stays as it is"):
        write("fresh", plain_turn()[:2], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert main(["plain_turn"]) == 1
    assert "golden" in capsys.readouterr().err


def test_a_lost_state_is_not_made_up_again(tmp_path: Path) -> None:
    write("fresh", plain_turn(), tmp_path)
    (tmp_path / "fresh.jsonl").unlink()
    with pytest.raises(FileExistsError, match=r"fresh\.state\.json"):
        write("fresh", plain_turn(), tmp_path)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["imagined"]) == 2
    assert "plain_turn" in capsys.readouterr().err
