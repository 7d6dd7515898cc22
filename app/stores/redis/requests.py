"""What the scripts are asked, as they read it: one MessagePack map, whose bodies are text.

Redis's MessagePack knows no bytes; a record is JSON, so it is text anyway. What is left out is nil in Lua.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from app.core.errors import StoreCorrupt
from app.core.ids import Birth, Incarnation, Nonce, RunId
from app.core.records import AnyRecord, Entry
from app.stores.embedded.index import named_blobs
from app.stores.head import Claim, Claimant, Head
from app.stores.remote.lines import Line, Start, Template

_encoder = msgspec.msgpack.Encoder()
_heads = msgspec.msgpack.Decoder(Head)

Halves = tuple[str, ...]
"""A body in pieces; the script puts between them what only it knows."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record: its body, and what it changes in the head and in the run index (`remote/lines.py`)."""

    kind: str
    body: str
    reader: int = 1
    run: str = ""
    title: str | None = None
    status: str = ""
    input_id: str = ""


class Owner(Struct, frozen=True, kw_only=True):
    """A claimant. `start`: how it would start a run of this agent; None if it cannot."""

    incarnation: Incarnation
    nonce: Nonce
    reader: int
    start: Halves | None


class Writing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every writing script is told: the time (`clock.py`), and the blobs that its records name."""

    now: str = ""
    blobs: tuple[str, ...] = ()


class Beginning(Writing, frozen=True, kw_only=True, omit_defaults=True):
    """What may begin a log: with its place in the user's lists, or once it is in them since `created_at`."""

    birth: Birth
    place: str | None = None
    created_at: float | None = None


class Submitting(Beginning, frozen=True, kw_only=True, omit_defaults=True):
    """An input on its way in."""

    run: RunId
    policy: str
    fingerprint: str = ""
    idempotency_key: str | None = None
    claimant: Owner | None = None
    version: int
    created: Record
    queued: Record
    steered: Halves | None = None
    cancel: Halves | None = None


class Committing(Writing, frozen=True, kw_only=True, omit_defaults=True):
    """A runner's records. `checkpoint` is the place of the one that comes beside this."""

    claim: Claim
    number: int
    seen: int
    records: list[Record]
    release: bool = False
    heir: Owner | None = None
    checkpoint: dict[str, int] | None = None


class Appending(Beginning, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody else's records."""

    seq: int
    records: list[Record]


class Adopting(Writing, frozen=True, kw_only=True, omit_defaults=True):
    """A claimant, and the head that it has read."""

    birth: Birth
    epoch: int
    nonce: Nonce
    seq: int
    claimant: Owner


class Claiming(Struct, frozen=True, kw_only=True):
    """Who looks for something to do: what it can read, the agents (encoded) that it can run, how many it wants."""

    reader: int
    agents: dict[str, bool]
    limit: int


def encode(request: Writing | Claiming) -> bytes:
    """Gives the request as the scripts read it."""
    return _encoder.encode(request)


def load_head(packed: bytes) -> Head:
    """Gives a stored head. Raises StoreCorrupt."""
    try:
        return _heads.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreCorrupt(f"a stored head cannot be read: {error}") from error


def record(line: Line) -> Record:
    """Gives a record as the scripts read it."""
    return Record(
        kind=line.kind,
        body=line.body.decode(),
        reader=line.reader,
        run=line.run,
        title=line.title,
        status=line.status,
        input_id=line.input_id,
    )


def blobs_of(records: Sequence[AnyRecord]) -> tuple[str, ...]:
    """Gives the SHA-256 of every blob that the records name."""
    return tuple(sorted(named_blobs(Entry(0, one, b"") for one in records)))


def owner(claimant: Claimant, start: Start | None) -> Owner:
    """Gives a claimant as the scripts read it."""
    pieces = None if start is None else (start.before.decode(), start.middle.decode(), start.after.decode())
    return Owner(incarnation=claimant.incarnation, nonce=claimant.nonce, reader=claimant.reader, start=pieces)


def halves(template: Template) -> Halves:
    """Gives a template's pieces."""
    return template.before.decode(), template.after.decode()
