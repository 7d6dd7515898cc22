"""Letters: what replicas tell each other, and their bytes (MessagePack; fields by position, new ones at the end).

A payload is its sender and some letters. A letter that is larger than a payload is divided into parts (`parts.py`).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NewType, assert_never

import msgspec
from msgspec import Raw, Struct

from app.core.encoding import load_entry
from app.core.errors import StoreCorrupt
from app.core.ids import Birth, Incarnation, ItemId, RunId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.stores.bus import Announced, Delta, DeltaKind, Gone, Live, Nudge, OpenItems

Address = NewType("Address", bytes)
"""A session, by the first 96 bits of its key's digest: enough that no two meet, and nobody's name is told."""
ADDRESS_BYTES = 12
ADDRESSES = 4096
"""Addresses that are remembered: each costs a SHA-256."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Piece(Struct, frozen=True, array_like=True):
    """A delta without what it shares with others of its run. The item is without the run's id, if it begins with it."""

    seq: int
    d: int
    merged: int
    item: str
    kind: DeltaKind
    offset: int
    text: str


class Deltas(Struct, frozen=True, array_like=True, tag="d"):
    """Deltas of one run in one epoch."""

    session: Address
    birth: Birth
    epoch: int
    run_id: RunId
    pieces: tuple[Piece, ...]


class Announcing(Struct, frozen=True, array_like=True, tag="a"):
    """The log has grown; perhaps with its newest records, each a seq and a body."""

    session: Address
    birth: Birth
    seq: int
    records: tuple[tuple[int, bytes], ...] = ()
    is_cut: bool = False


class Vanishing(Struct, frozen=True, array_like=True, tag="v"):
    """The session was deleted."""

    session: Address
    birth: Birth


class Nudging(Struct, frozen=True, array_like=True, tag="n"):
    """The session's owner should look at its log."""

    session: Address
    run_id: RunId


class Waking(Struct, frozen=True, array_like=True, tag="w"):
    """There may be ready sessions."""


class Greeting(Struct, frozen=True, array_like=True, tag="g"):
    """The sender has just begun to listen, and asks everybody what they follow."""


class Following(Struct, frozen=True, array_like=True, tag="f"):
    """The sender follows these sessions."""

    sessions: tuple[Address, ...]


class Leaving(Struct, frozen=True, array_like=True, tag="l"):
    """The sender does not follow these sessions any more."""

    sessions: tuple[Address, ...]


class Asking(Struct, frozen=True, array_like=True, tag="q"):
    """The sender wants the session's open items, and follows it."""

    number: int
    session: Address


class Answering(Struct, frozen=True, array_like=True, tag="r"):
    """The asker's question of that number is answered; without items, by a parcel that bears its name."""

    asker: Incarnation
    number: int
    items: OpenItems | None = None


class Part(Struct, frozen=True, array_like=True, tag="p"):
    """A part of the sender's divided letter of that number."""

    number: int
    place: int
    count: int
    data: bytes


Letter = Deltas | Announcing | Vanishing | Nudging | Waking | Greeting | Following | Leaving | Asking | Answering | Part
LiveLetter = Deltas | Announcing | Vanishing | Nudging


class Payload(Struct, frozen=True, array_like=True):
    """What a wire carries at once."""

    sender: Incarnation
    letters: tuple[Letter, ...]


class _PackedPayload(Struct, frozen=True, array_like=True):
    sender: Incarnation
    letters: tuple[Raw, ...]


class _PackedDeltas(Struct, frozen=True, array_like=True, tag="d"):
    session: Address
    birth: Birth
    epoch: int
    run_id: RunId
    pieces: tuple[Raw, ...]


encode = msgspec.msgpack.Encoder().encode
_decode_payload = msgspec.msgpack.Decoder(Payload).decode
_decode_packed = msgspec.msgpack.Decoder(_PackedPayload).decode
_decode_letter = msgspec.msgpack.Decoder[Letter](Letter).decode
_decode_items = msgspec.msgpack.Decoder(OpenItems).decode


@lru_cache(maxsize=ADDRESSES)
def address_of(key: SessionKey) -> Address:
    """Gives the session's address."""
    return Address(bytes.fromhex(key.digest()[: 2 * ADDRESS_BYTES]))


def pack(sender: Incarnation, letters: Sequence[bytes]) -> bytes:
    """Gives the payload of encoded letters."""
    return encode(_PackedPayload(sender, tuple(map(Raw, letters))))


def unpack(payload: bytes) -> Payload | None:
    """Gives what the payload says, without the letters that only newer programs know; None if it is no payload."""
    try:
        return _decode_payload(payload)
    except UNREADABLE:
        return _unpack_known(payload)


def _unpack_known(payload: bytes) -> Payload | None:
    try:
        packed = _decode_packed(payload)
    except UNREADABLE:
        return None
    letters = (unpack_letter(letter) for letter in packed.letters)
    return Payload(packed.sender, tuple(letter for letter in letters if letter is not None))


def unpack_letter(data: bytes | Raw) -> Letter | None:
    """Gives what a letter says that was divided, or None if it is another program's."""
    try:
        return _decode_letter(data)
    except UNREADABLE:
        return None


def unpack_items(parcel: bytes) -> OpenItems | None:
    """Gives what the parcel of an answer holds, or None if it is another program's."""
    try:
        return _decode_items(parcel)
    except UNREADABLE:
        return None


def pack_piece(delta: Delta) -> bytes:
    """Gives a delta's bytes within its run."""
    item, run = delta.item, delta.run_id
    if item.startswith(run + ":"):
        item = item[len(run) :]
    return encode(Piece(delta.seq, delta.d, delta.merged, item, delta.kind, delta.offset, delta.text))


def pack_deltas(session: Address, like: Delta, pieces: Sequence[bytes]) -> bytes:
    """Gives the letter of deltas that are of the same run and epoch as that one."""
    return encode(_PackedDeltas(session, like.birth, like.epoch, like.run_id, tuple(map(Raw, pieces))))


def letter_of(session: Address, message: Announced | Gone | Nudge) -> LiveLetter:
    """Gives the letter that says the same."""
    match message:
        case Announced(birth=birth, seq=seq, entries=entries, is_cut=is_cut):
            return Announcing(session, birth, seq, tuple((entry.seq, entry.body) for entry in entries), is_cut)
        case Gone(birth=birth):
            return Vanishing(session, birth)
        case Nudge(run_id=run_id):
            return Nudging(session, run_id)
        case _:
            assert_never(message)


def messages_of(letter: LiveLetter) -> Iterator[Live]:
    """Yields the messages that the letter says."""
    match letter:
        case Deltas():
            yield from _deltas_of(letter)
        case Announcing(birth=birth, seq=seq, records=records, is_cut=is_cut):
            yield Announced(birth, seq, _entries_of(records), is_cut)
        case Vanishing(birth=birth):
            yield Gone(birth)
        case Nudging(run_id=run_id):
            yield Nudge(run_id)
        case _:
            assert_never(letter)


def _deltas_of(letter: Deltas) -> Iterator[Delta]:
    birth, epoch, run = letter.birth, letter.epoch, letter.run_id
    for piece in letter.pieces:
        item = ItemId(run + piece.item if piece.item.startswith(":") else piece.item)
        yield Delta(birth, piece.seq, epoch, piece.d, run, item, piece.kind, piece.offset, piece.text, piece.merged)


def _entries_of(records: tuple[tuple[int, bytes], ...]) -> tuple[Entry, ...]:
    """Gives the records; none of them if this program cannot read one: they will be read from the store."""
    try:
        return tuple(load_entry(seq, body) for seq, body in records)
    except StoreCorrupt:
        return ()
