"""A client that trusts nothing: it rebuilds every item from what it is sent, and checks every rule of the stream."""

from typing import Any

from tests.support.sse import Event, parse_frame


class Viewer:
    """Follows one session or run, over any number of connections. Fails at the first broken rule."""

    def __init__(self, *, whole_session: bool = False) -> None:
        self.last_id: str | None = None
        self.records: list[dict[str, Any]] = []
        self.texts: dict[tuple[str, str], str] = {}
        self.names: list[str] = []
        self.closed: dict[tuple[str, str], str] = {}
        """What was shown of each item and kind when its record came."""
        self._whole = whole_session
        self._birth = ""
        self._seq = 0
        self._epoch = 0
        self._d = 0
        self._stale: set[tuple[str, str]] = set()
        self._done: set[str] = set()
        """Steps whose message, and calls whose result, is recorded: nothing more may be shown of them."""

    def reconnect(self) -> None:
        """The connection was lost: of items that were open, pieces may have been missed if their record came first."""
        self._stale = set(self.texts)

    def feed(self, data: bytes) -> None:
        """The whole frames are applied."""
        for frame in data.split(b"\n\n")[:-1]:
            event = parse_frame(frame)
            if event is not None:
                self.apply(event)

    def apply(self, event: Event) -> None:
        """The event is applied, and must be allowed."""
        self.names.append(event.name)
        self._check_id(event)
        self.last_id = event.id
        match event.name:
            case "delta":
                self._delta(event.data)
            case "item.snapshot":
                self._snapshot(event.data)
            case "reset":
                self._reset(event.data)
            case "gap":
                self._stale = set(self.texts)
            case _:
                self._record(event.data)

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """Gives the records of one type."""
        return [record for record in self.records if record["type"] == name]

    @property
    def status(self) -> str:
        """Gives how the last run ended."""
        return self.of_type("run.finished")[-1]["status"]

    def _check_id(self, event: Event) -> None:
        place, _, delta = event.id.partition(":")
        birth, _, seq = place.partition(".")
        if event.name == "reset":
            self._birth, self._seq, self._epoch, self._d = birth, int(seq), 0, 0
            return
        assert self._birth in {"", birth}, "another log without a reset"
        assert int(seq) >= self._seq, f"seq fell from {self._seq} to {seq}"
        self._birth, self._seq = birth, int(seq)
        if delta:
            epoch, _, d = delta.rstrip("~").partition(".")
            assert event.name == "item.snapshot" or not delta.endswith("~"), "only a snapshot may be one of several"
            assert (int(epoch), int(d)) >= (self._epoch, self._d), "an older epoch, or d fell within one"
            repeated = (int(epoch), int(d)) == (self._epoch, self._d)
            assert not repeated or event.name == "item.snapshot", f"delta {event.id} twice"
            self._epoch, self._d = int(epoch), int(d)

    def _reset(self, data: dict[str, Any]) -> None:
        """Text of open items is void; unless it is all that is, so are the records after the reset's place."""
        self.texts.clear()
        if data["reason"] != "epoch":
            self.records = [record for record in self.records if record["seq"] <= data["after"]]
            self._done = {place for record in self.records for place in _closed_by(record)}

    def _check_open(self, item: str, kind: str) -> None:
        place = item if kind == "output" else item.rpartition(":")[0]
        assert place not in self._done, f"{kind} of {item} after its record"

    def _delta(self, data: dict[str, Any]) -> None:
        item = data["item"], data["kind"]
        self._check_open(*item)
        shown = self.texts.get(item, "")
        assert data["offset"] == len(shown), f"{item} has {len(shown)} characters, the delta begins at {data['offset']}"
        self.texts[item] = shown + data["text"]
        self._stale.discard(item)

    def _snapshot(self, data: dict[str, Any]) -> None:
        item = data["item"], data["kind"]
        self._check_open(*item)
        assert data["text"].startswith(self.texts.get(item, "")), "a snapshot takes back what was shown"
        self.texts[item] = data["text"]
        self._stale.discard(item)

    def _record(self, data: dict[str, Any]) -> None:
        seqs = [record["seq"] for record in self.records]
        assert data["seq"] not in seqs, f"record {data['seq']} twice"
        assert not self._whole or not seqs or data["seq"] == seqs[-1] + 1, f"record {data['seq']} follows {seqs[-1:]}"
        self.records.append(data)
        self._done |= _closed_by(data)
        if data["type"] == "message.appended":
            self._close_message(data)
        elif data["type"] == "tool.finished":
            self._close(data["item"], "output", None)
        elif data["type"] in {"run.resumed", "run.finished"}:
            run = data["run_id"] + ":"
            self.texts = {item: text for item, text in self.texts.items() if not item[0].startswith(run)}

    def _close_message(self, data: dict[str, Any]) -> None:
        parts = data["message"]["parts"]
        for kind in ("text", "thinking"):
            mine = [part for part in parts if part["type"] == kind]
            whole = "".join(part["text"] for part in mine)
            self._close(data["item"], kind, None if any("blob" in part for part in mine) else whole)
        for part in parts:
            if part["type"] == "tool_call":
                self._close(part["item"], "args", None if "blob" in part else part["arguments"])

    def _close(self, item: str, kind: str, final: str | None) -> None:
        shown = self.texts.pop((item, kind), None)
        if shown is None or final is None:
            return
        self.closed[item, kind] = shown
        if (item, kind) in self._stale:
            assert final.startswith(shown), f"{item} was shown as {shown!r} but recorded as {final!r}"
            return
        assert shown == final, f"{item} was shown as {shown!r} but recorded as {final!r}"


def _closed_by(record: dict[str, Any]) -> set[str]:
    """Gives the step or call of which nothing more may be shown after the record."""
    match record["type"]:
        case "message.appended":
            return {record["item"].rpartition(":")[0]}
        case "tool.finished":
            return {record["item"]}
        case _:
            return set()


def view(data: bytes) -> Viewer:
    """Gives a viewer that saw one whole stream."""
    viewer = Viewer()
    viewer.feed(data)
    return viewer
