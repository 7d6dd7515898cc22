"""Taking ready sessions from a store that other replicas take from at the same moment.

Look, choose, read, adopt. A session is read before it is adopted, so that one whose log is broken is passed over and
stays with nobody; it is adopted by comparing the head that was read, so that of two takers one gets it, and the other
looks again.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import SessionNotFound, StoreCorrupt
from app.core.ids import Nonce, TenantId
from app.core.keys import SessionKey
from app.stores.base import Log, Taken
from app.stores.fairness import Waiting, fairly
from app.stores.head import Claimant, is_adoptable

ROUNDS = 16
"""How often it looks again, at the most; a wake-up or the next tick goes on."""
AT_ONCE = 8
"""Sessions that are read and adopted side by side."""


class Candidates(Struct, frozen=True):
    """What could be taken at one moment: the claimant's own lost sessions, and each tenant's ready ones, oldest first.

    Of a head only what `is_adoptable` and fairness ask for must be there.
    """

    own: tuple[Waiting, ...]
    ready: tuple[tuple[Waiting, ...], ...]
    running: Mapping[TenantId, int]
    """How many sessions each of those tenants has running."""


class Claims(Protocol):
    """What a store must be able to do for `take`."""

    async def candidates(self, claimant: Claimant, held: Collection[Nonce], limit: int) -> Candidates:
        """Gives what the claimant may take, without those it cannot run; of ready ones at least the first `limit`."""
        ...

    async def load(self, key: SessionKey) -> Log:
        """Gives the newest checkpoint and the whole tail. Raises SessionNotFound and StoreCorrupt."""
        ...

    async def adopt(self, key: SessionKey, log: Log, claimant: Claimant) -> Taken | None:
        """The session is the claimant's, if its log is still as it was read; else None, and nothing was written.

        Only called for a log that is adoptable as it was read.
        """
        ...


async def take(claims: Claims, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
    """Gives up to `slots` sessions, now the claimant's, each under a nonce of its own.

    Raises StoreCorrupt if there are only sessions that cannot be read.
    """
    taking = _Taking(claims, claimant, held)
    for _ in range(ROUNDS if slots > 0 else 0):
        if not await taking.round(slots - len(taking.taken)) or len(taking.taken) >= slots:
            break
    if taking.broken is not None and not taking.taken:
        raise taking.broken
    return tuple(taking.taken)


class _Taking:
    """One call's work: what it has taken so far, and what it passes over."""

    def __init__(self, claims: Claims, claimant: Claimant, held: Collection[Nonce]) -> None:
        self.taken: list[Taken] = []
        self.broken: StoreCorrupt | None = None
        self._claims = claims
        self._claimant = claimant
        self._held = set(held)
        self._passed: set[SessionKey] = set()
        self._number = 0

    async def round(self, slots: int) -> bool:
        """Takes up to `slots` of what is there now; says whether there was anything."""
        found = await self._claims.candidates(self._claimant, frozenset(self._held), slots + len(self._passed))
        chosen = [(key, self._numbered()) for key in islice(self._choose(found), slots)]
        for i in range(0, len(chosen), AT_ONCE):
            adopting = [self._adopt(*one) for one in chosen[i : i + AT_ONCE]]
            self._keep(await asyncio.gather(*adopting, return_exceptions=True))
        return bool(chosen)

    def _choose(self, found: Candidates) -> Iterator[SessionKey]:
        held = frozenset(self._held)

        def adoptable(waiting: Waiting) -> bool:
            key, head = waiting
            return key not in self._passed and is_adoptable(head, key.agent, self._claimant, held)

        ready = (filter(adoptable, queue) for queue in found.ready)
        return (key for key, _ in chain(filter(adoptable, found.own), fairly(ready, found.running)))

    def _numbered(self) -> Claimant:
        """Gives the claimant with a nonce for one session, so that each can be lost track of by itself."""
        numbered = replace(self._claimant, nonce=Nonce(f"{self._claimant.nonce}-{self._number}"))
        self._number += 1
        return numbered

    async def _adopt(self, key: SessionKey, claimant: Claimant) -> Taken | None:
        try:
            log = await self._claims.load(key)
            moved = not is_adoptable(log.head, key.agent, claimant, frozenset(self._held))
            return None if moved else await self._claims.adopt(key, log, claimant)
        except StoreCorrupt as error:
            self.broken = error
            self._passed.add(key)
        except SessionNotFound:
            self._passed.add(key)
        return None

    def _keep(self, outcomes: Sequence[Taken | BaseException | None]) -> None:
        """Remembers what was taken. Raises the first error only if nothing was: what is ours is not to be lost."""
        taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
        self.taken += taken
        self._held |= {one.claim.nonce for one in taken}
        error = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
        if error is not None and not self.taken:
            raise error
