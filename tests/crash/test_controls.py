"""The crash points' own controls: each mutation is one line of the engine gone wrong, and must turn the checks red."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import StoreUnavailable
from app.core.records import AnyRecord, Effect
from app.core.state import OpenCall
from app.engine import step
from app.engine.step import RunTools
from app.engine.tenure import Tenure
from app.stores.base import Checkpoint, Committed, Release
from app.testing.faults import Mishap
from tests.contracts.backends import MemoryBackend
from tests.crash.scenarios import SCENARIOS
from tests.crash.test_crash_points import enumerate_points

Mutate = Callable[[pytest.MonkeyPatch], None]


def change_nothing(_: pytest.MonkeyPatch) -> None:
    """The engine as it is."""


def start_without_saying_so(patch: pytest.MonkeyPatch) -> None:
    """A call runs before its `tool.started` is durable."""

    def starts(*_: object) -> list[AnyRecord]:
        return []

    patch.setattr("app.engine.plan._starts", starts)


def repeat_the_unsafe(patch: pytest.MonkeyPatch) -> None:
    """A call in doubt is run again, whatever its effect."""
    original = step._run_tools

    def careless(calls: tuple[OpenCall, ...]) -> RunTools:
        found = original(calls)
        return RunTools(found.calls + found.doubtful)

    patch.setattr(step, "_run_tools", careless)


def forget_doubt(patch: pytest.MonkeyPatch) -> None:
    """A takeover takes calls under way for calls that were never started."""

    def fresh(call: OpenCall) -> OpenCall:
        return replace(call, status="wanted", effect=Effect.PURE) if call.status == "started" else call

    patch.setattr("app.core.fold._doubt", fresh)


def renumber_a_retry(patch: pytest.MonkeyPatch) -> None:
    """A commit whose reply was lost is sent again as if it were another commit."""

    async def insist(
        self: Tenure, records: Sequence[AnyRecord], release: Release | None, checkpoint: Checkpoint | None
    ) -> Committed:
        while True:
            number, seen = self._commits + 1, self.state.seq
            try:
                return await self._sessions.commit(self.key, self.claim, number, seen, records, release, checkpoint)
            except StoreUnavailable:
                self._commits += 1

    patch.setattr(Tenure, "_insist", insist)


def keep_the_dead_claim(patch: pytest.MonkeyPatch) -> None:
    """Nobody takes over: the sessions of a dead replica stay its own."""

    async def nobody(*_: object) -> int:
        return 0

    patch.setattr("app.engine.takeover.sweep", nobody)


@pytest.mark.parametrize(
    ("mutate", "mishap", "red"),
    [
        (change_nothing, Mishap.DIES, False),
        (change_nothing, Mishap.REPLY_LOST, False),
        (start_without_saying_so, Mishap.DIES, True),
        (repeat_the_unsafe, Mishap.DIES, True),
        (forget_doubt, Mishap.DIES, True),
        (renumber_a_retry, Mishap.REPLY_LOST, True),
        (keep_the_dead_claim, Mishap.DIES, True),
    ],
)
@pytest.mark.timeout(120)
async def test_mutation(
    mutate: Mutate, mishap: Mishap, red: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.1)
    monkeypatch.setattr("tests.crash.scenarios.SECONDS", 3)
    monkeypatch.setattr("tests.crash.test_crash_points.SECONDS", 3)
    mutate(monkeypatch)
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == "three_tools")
    found: BaseException | None = None
    try:
        await enumerate_points(scenario, mishap, MemoryBackend, tmp_path)
    except (AssertionError, TimeoutError, ValueError, BaseExceptionGroup) as error:
        found = error
    assert (found is not None) == red, found
