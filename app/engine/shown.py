"""What is shown of items that are not records yet: their text so far, and the deltas that carry it to followers."""

import asyncio

from app.core.clock import Clock
from app.core.errors import LimitReached
from app.core.ids import ItemId, RunId
from app.engine.tenure import Tenure
from app.stores.bus import Bus, Delta, DeltaKind, OpenItems, OpenText

COALESCE_SECONDS = 0.01
"""Pieces that come faster than this are sent together."""
COALESCE_CHARS = 4096
"""Code points of a delta, at most: four bytes each, they still fit through every bus."""
MAX_ITEM_CHARS = 1024 * 1024
"""Code points of one item and kind that may be shown; a model that writes more is stopped."""


class _Text:
    """The text of one open item and kind: what was sent, and what waits."""

    def __init__(self, run_id: RunId, item: ItemId, kind: DeltaKind) -> None:
        self.run_id = run_id
        self.item = item
        self.kind: DeltaKind = kind
        self.sent: list[str] = []
        self.waiting: list[str] = []
        self.offset = 0
        self.size = 0


class Shown:
    """The open items of one tenure. Text is sent at once when nothing was sent just before, else it is gathered."""

    def __init__(self, tenure: Tenure, bus: Bus, clock: Clock) -> None:
        self._tenure = tenure
        self._bus = bus
        self._clock = clock
        self._texts: dict[tuple[ItemId, DeltaKind], _Text] = {}
        self._waiting = 0
        self._flushed = 0.0
        self._epoch = tenure.claim.epoch
        self._d = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, run_id: RunId, item: ItemId, kind: DeltaKind, text: str) -> None:
        """The text is part of the item, and will be shown by the next `flush`. Raises LimitReached beyond the bound."""
        entry = self._texts.get((item, kind))
        if entry is None:
            entry = self._texts[item, kind] = _Text(run_id, item, kind)
        entry.size += len(text)
        if entry.size > MAX_ITEM_CHARS:
            raise LimitReached(f"more than {MAX_ITEM_CHARS} characters of {kind} in one item")
        entry.waiting.append(text)
        self._waiting += len(text)

    @property
    def delay(self) -> float:
        """Gives the seconds until what waits should be flushed; 0 means now."""
        if self._waiting >= COALESCE_CHARS:
            return 0.0
        return max(0.0, self._flushed + COALESCE_SECONDS - self._clock.monotonic())

    def flush_soon(self) -> None:
        """Everything added is on its way at most a moment from now."""
        delay = self.delay
        if not delay:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_time)

    def flush(self) -> None:
        """Everything added is on its way to the followers."""
        if not self._waiting:
            return
        self._waiting = 0
        self._flushed = self._clock.monotonic()
        for entry in self._texts.values():
            if entry.waiting:
                self._send(entry)

    def close(self) -> None:
        """No item is open: the record that replaces them is in the log, or they are void."""
        self._texts.clear()
        self._waiting = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop(self, item: ItemId) -> None:
        """That item is closed by its record."""
        self._texts = {key: entry for key, entry in self._texts.items() if key[0] != item}

    def snapshot(self) -> OpenItems:
        """Gives everything sent so far, for a follower that joins."""
        self._turn_epoch()
        items = tuple(OpenText(t.run_id, t.item, t.kind, "".join(t.sent)) for t in self._texts.values() if t.sent)
        return OpenItems(self._tenure.birth, self._tenure.state.seq, self._epoch, self._d, items)

    def _on_time(self) -> None:
        self._timer = None
        self.flush()

    def _send(self, entry: _Text) -> None:
        text = "".join(entry.waiting)
        entry.waiting.clear()
        self._turn_epoch()
        for start in range(0, len(text), COALESCE_CHARS):
            self._publish(entry, text[start : start + COALESCE_CHARS])

    def _publish(self, entry: _Text, text: str) -> None:
        self._d += 1
        tenure = self._tenure
        seq, run, item = tenure.state.seq, entry.run_id, entry.item
        delta = Delta(tenure.birth, seq, self._epoch, self._d, run, item, entry.kind, entry.offset, text)
        entry.sent.append(text)
        entry.offset += len(text)
        self._bus.publish(tenure.key, delta)

    def _turn_epoch(self) -> None:
        if self._tenure.claim.epoch != self._epoch:
            self._epoch, self._d = self._tenure.claim.epoch, 0
