"""What one client of the torture test takes down: every rule of the stream, and every text against its final record."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.sse import Event
from tests.support.viewer import Viewer


class Witness(Viewer):
    """A viewer that also holds outputs against their results, and gaps and resets against the faults."""

    def __init__(self, is_explained: Callable[[float], bool], *, whole_session: bool) -> None:
        super().__init__(whole_session=whole_session)
        self.events = 0
        self.compared = 0
        """Texts that were shown, and equal their record."""
        self._is_explained = is_explained

    @property
    def is_excused(self) -> bool:
        """Says whether a fault is at work."""
        return self._is_explained(time.monotonic())

    def apply(self, event: Event) -> None:
        self.events += 1
        if event.name in {"gap", "reset"}:
            assert self.is_excused, f"{event.name} {event.data} without a fault"
        super().apply(event)

    def must_equal(self, log: Mapping[int, dict[str, Any]]) -> None:
        """Every record that was shown is in the log, as it was shown."""
        for record in self.records:
            assert log.get(record["seq"]) == record, f"record {record['seq']} was shown as {record}"

    def _record(self, data: dict[str, Any]) -> None:
        if data["type"] == "tool.finished":
            self._check_output(data)
        super()._record(data)

    def _check_output(self, data: dict[str, Any]) -> None:
        """What was shown of a call that succeeded is its result, or the beginning if the last pieces were missed."""
        shown = self.texts.get((data["item"], "output"))
        if shown is None or data["outcome"] != "ok":
            return
        final = data["result"]["text"]
        self._compare(f"the output of {data['item']}", shown, final, is_part=(data["item"], "output") in self._stale)

    def _close(self, item: str, kind: str, final: str | None) -> None:
        shown = self.texts.pop((item, kind), None)
        if shown is not None and final is not None:
            self._compare(f"{kind} of {item}", shown, final, is_part=(item, kind) in self._stale)

    def _compare(self, what: str, shown: str, final: str, *, is_part: bool) -> None:
        """While a fault is at work, the last deltas before the record may be lost; it replaces them."""
        if shown == final:
            self.compared += 1
        else:
            is_excused = final.startswith(shown) and (is_part or self.is_excused)
            assert is_excused, f"{what} was shown as {shown!r} but recorded as {final!r}"
