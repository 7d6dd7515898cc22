"""Metered ports: each call is timed, each error counted by its code, whatever the backend."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from app.core.clock import Clock
from app.core.errors import BatonError
from app.core.ids import AgentId, Incarnation, Nonce, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.messages import BlobRef
from app.core.records import AnyRecord, Entry
from app.observability.metrics import STORE_SECONDS, Figure, Histogram, Sample
from app.stores.base import (
    Beat,
    Blobs,
    Checkpoint,
    Committed,
    Heads,
    KeyValue,
    Log,
    Position,
    Release,
    Replicas,
    RunEntry,
    Runs,
    Sessions,
    Submitted,
    Summary,
    Taken,
    Value,
)
from app.stores.bundle import Stores
from app.stores.head import Claim, Claimant, Head, Submission
from app.stores.tally import Tally

T = TypeVar("T")
CALLS = Figure("store_call_seconds", "How long calls of the store took.", ("backend", "method"))
ERRORS = Figure(
    "store_errors_total",
    "Calls of the store that raised, refusals included, by the error's code.",
    ("backend", "method", "code"),
)


class StoreMeter:
    """Times the calls of one backend."""

    def __init__(self, backend: str, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._times: dict[str, Histogram] = {}
        self._errors: Counter[tuple[str, str]] = Counter()

    async def timed(self, method: str, call: Awaitable[T]) -> T:
        """Gives the call's result. `method` is `port.method`."""
        began = self._clock.monotonic()
        try:
            return await call
        except BaseException as error:
            self._errors[method, _code(error)] += 1
            raise
        finally:
            times = self._times.get(method)
            if times is None:
                times = self._times[method] = Histogram(STORE_SECONDS)
            times.observe(self._clock.monotonic() - began)

    def samples(self) -> Iterable[Sample]:
        yield from (CALLS.of(times, self._backend, method) for method, times in self._times.items())
        yield from (ERRORS.of(count, self._backend, *which) for which, count in self._errors.items())


def metered(stores: Stores, meter: StoreMeter, tally: Tally) -> Stores:
    """Gives the same stores, all calls counted. The bus is not: nobody waits for it."""
    return replace(
        stores,
        sessions=MeteredSessions(stores.sessions, meter, tally),
        runs=MeteredRuns(stores.runs, meter),
        heads=MeteredHeads(stores.heads, meter),
        replicas=MeteredReplicas(stores.replicas, meter, tally),
        keyvalue=MeteredKeyValue(stores.keyvalue, meter),
        blobs=MeteredBlobs(stores.blobs, meter),
    )


class MeteredSessions:
    """Sessions, timed; what they wrote is tallied."""

    def __init__(self, inner: Sessions, meter: StoreMeter, tally: Tally) -> None:
        self._inner, self._time, self._tally = inner, meter.timed, tally

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        outcome = await self._time("sessions.submit", self._inner.submit(key, submission, claimant))
        self._tally.submitted(outcome)
        return outcome

    async def commit(
        self,
        key: SessionKey,
        claim: Claim,
        commit_id: int,
        seen: int,
        records: Sequence[AnyRecord],
        release: Release | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Committed:
        call = self._inner.commit(key, claim, commit_id, seen, records, release, checkpoint)
        done = await self._time("sessions.commit", call)
        self._tally.wrote(done.written)
        return done

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        entries = await self._time("sessions.append", self._inner.append(key, expected, records))
        self._tally.wrote(entries)
        return entries

    async def take(self, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
        taken = await self._time("sessions.take", self._inner.take(claimant, slots, held))
        self._tally.took(taken)
        return taken

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        swept = await self._time("sessions.sweep", self._inner.sweep(dead, limit))
        self._tally.swept += swept
        return swept

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        return await self._time("sessions.read", self._inner.read(key, after, limit))

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        return await self._time("sessions.list", self._inner.list(tenant, user, agent, before, limit))

    async def delete(self, key: SessionKey) -> None:
        await self._time("sessions.delete", self._inner.delete(key))


class MeteredRuns:
    """Runs, timed."""

    def __init__(self, inner: Runs, meter: StoreMeter) -> None:
        self._inner, self._time = inner, meter.timed

    async def find(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        return await self._time("runs.find", self._inner.find(tenant, run_id))


class MeteredHeads:
    """Heads, timed."""

    def __init__(self, inner: Heads, meter: StoreMeter) -> None:
        self._inner, self._time = inner, meter.timed

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        return await self._time("heads.peek", self._inner.peek(keys))


class MeteredReplicas:
    """Replicas, timed; burials are tallied."""

    def __init__(self, inner: Replicas, meter: StoreMeter, tally: Tally) -> None:
        self._inner, self._time, self._tally = inner, meter.timed, tally

    async def beat(self, incarnation: Incarnation) -> None:
        await self._time("replicas.beat", self._inner.beat(incarnation))

    async def live(self) -> tuple[Beat, ...]:
        return await self._time("replicas.live", self._inner.live())

    async def bury(self, beat: Beat) -> bool:
        buried = await self._time("replicas.bury", self._inner.bury(beat))
        self._tally.buried += buried
        return buried

    async def buried(self) -> tuple[Incarnation, ...]:
        return await self._time("replicas.buried", self._inner.buried())

    async def forget(self, incarnation: Incarnation) -> None:
        await self._time("replicas.forget", self._inner.forget(incarnation))


class MeteredKeyValue:
    """KeyValue, timed."""

    def __init__(self, inner: KeyValue, meter: StoreMeter) -> None:
        self._inner, self._time = inner, meter.timed

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        return await self._time("keyvalue.get", self._inner.get(tenant, key))

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        return await self._time("keyvalue.put", self._inner.put(tenant, key, data))

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        return await self._time("keyvalue.put_if_version", self._inner.put_if_version(tenant, key, data, version))

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return await self._time("keyvalue.delete", self._inner.delete(tenant, key))

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        return await self._time("keyvalue.search", self._inner.search(tenant, prefix, cursor, limit))


class MeteredBlobs:
    """Blobs, timed."""

    def __init__(self, inner: Blobs, meter: StoreMeter) -> None:
        self._inner, self._time = inner, meter.timed

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        return await self._time("blobs.put", self._inner.put(tenant, data, media_type))

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        return await self._time("blobs.get", self._inner.get(tenant, sha256))

    async def collect(self, limit: int) -> int:
        return await self._time("blobs.collect", self._inner.collect(limit))


def _code(error: BaseException) -> str:
    if isinstance(error, BatonError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"
