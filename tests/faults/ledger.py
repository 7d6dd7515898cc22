"""What a store has acknowledged, and under which claims: a test compares that with what the store has afterwards."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from msgspec.structs import replace

from app.core.errors import ClaimLost
from app.core.keys import SessionKey
from app.core.records import Entry
from app.stores.base import Claimed, Committed, Sessions, Taken
from app.stores.bundle import Stores
from app.stores.head import Claim
from app.testing.interception import intercepted

Given = tuple[SessionKey, Claim]
"""A claim on a session."""


class Ledger:
    """Notes what all replicas that use its stores are told."""

    def __init__(self) -> None:
        self.entries: defaultdict[SessionKey, dict[int, Entry]] = defaultdict(dict)
        self.granted: defaultdict[SessionKey, list[Claim]] = defaultdict(list)
        """Every claim that was given, as replicas were told of it."""
        self.used: defaultdict[SessionKey, list[Claim]] = defaultdict(list)
        """The claim of every commit that succeeded, in that order."""
        self.lost: list[type[ClaimLost]] = []
        """What commits were refused with because their claim is void."""

    def watch(self, stores: Stores) -> Stores:
        """Gives the stores, watched."""
        return replace(stores, sessions=intercepted(stores.sessions, "sessions", self._around))

    def claims(self) -> set[Given]:
        """Gives every claim that was given so far."""
        return {(key, claim) for key, claims in self.granted.items() for claim in claims}

    def writers(self) -> set[Given]:
        """Gives every claim under which something was committed."""
        return {(key, claim) for key, claims in self.used.items() for claim in claims}

    def turn_page(self) -> None:
        """Nothing is noted but the claims that were given."""
        self.entries.clear()
        self.used.clear()
        self.lost.clear()

    async def check_kept(self, sessions: Sessions) -> None:
        """Every record that was acknowledged is in its log, as it was."""
        for key, acknowledged in self.entries.items():
            stored = {entry.seq: entry for entry in (await sessions.read(key, 0, 10_000)).entries}
            lost = [entry for seq, entry in acknowledged.items() if stored.get(seq) != entry]
            assert not lost, f"{key.encode()} lost what was acknowledged: {lost}"

    def check_claims(self) -> None:
        """No two claims were in force at once: later commits have later epochs, and each epoch one nonce."""
        for key, claims in self.used.items():
            epochs = [claim.epoch for claim in claims]
            assert epochs == sorted(epochs), f"{key.encode()}: an older claim wrote after a newer one: {claims}"
            assert len(set(claims)) == len(set(epochs)), f"{key.encode()}: two claims of one epoch wrote: {claims}"

    async def _around(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            answer = await call()
        except ClaimLost as error:
            self.lost.append(type(error))
            raise
        args: tuple[Any, ...] = getattr(call, "args", ())
        match answer:
            case Claimed():
                self._grant(args[0], answer.claim, answer.log.entries)
            case Committed():
                self.used[args[0]].append(args[1])
                self._grant(args[0], answer.handed, answer.unseen + answer.written)
            case _ if method == "take":
                self._take(answer)
            case _:
                pass
        return cast("Any", answer)

    def _take(self, taken: Iterable[Taken]) -> None:
        for one in taken:
            self._grant(one.key, one.claim, one.log.entries)

    def _grant(self, key: SessionKey, claim: Claim | None, entries: tuple[Entry, ...]) -> None:
        self.entries[key] |= {entry.seq: entry for entry in entries}
        if claim is not None:
            self.granted[key].append(claim)
