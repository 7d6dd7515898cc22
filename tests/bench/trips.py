"""Round trips and bytes, found in what passed over the wire.

A round trip is what was sent over one connection before the store said anything more on it: however many commands, and
in however many packets. What is asked in parallel over two connections is two; so is what waits for an answer first.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from app.stores.redis.scripts import load_scripts
from tests.bench.wire import Piece

BEAT = "beat"
"""It is in the name of what a heartbeat's connection asks for, and in no other's."""
_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n(?:EVALSHA\r\n\$40\r\n)?(\w+)\r\n")
_PARSED = re.compile(rb"(__asyncpg_stmt_\w+__)\0[^\0]*?\b(?:baton\.|pg_)(\w+)")
_NAMED = re.compile(rb"__asyncpg_stmt_\w+__")
_SIMPLE = re.compile(rb"Q....(\w+)", re.DOTALL)


class Trip(Struct, frozen=True):
    """One round trip, from when it began."""

    at: float
    what: str
    is_heartbeat: bool


class Traffic(Struct, frozen=True):
    """Bytes in a stretch of time, without the heartbeat's."""

    sent: int
    received: int


def trips(pieces: Iterable[Piece]) -> list[Trip]:
    """Gives the round trips, in order."""
    found: list[tuple[float, int, str]] = []
    for connection, own in by_connection(pieces).items():
        found += [(at, connection, what) for at, what in _requests(own)]
    beating = {connection for _, connection, what in found if BEAT in what}
    return [Trip(at, what, connection in beating) for at, connection, what in sorted(found)]


def traffic(pieces: Iterable[Piece], since: float, until: float) -> Traffic:
    """Gives the bytes that passed in that stretch, both ends included."""
    sent = received = 0
    for own in by_connection(pieces).values():
        if any(BEAT in what for _, what in _requests(own)):
            continue
        within = [piece for piece in own if since <= piece.at <= until]
        sent += sum(piece.size for piece in within if piece.is_request)
        received += sum(piece.size for piece in within if not piece.is_request)
    return Traffic(sent, received)


def by_connection(pieces: Iterable[Piece]) -> dict[int, list[Piece]]:
    """Gives what passed over each connection."""
    found: dict[int, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(piece.connection, []).append(piece)
    return found


def _requests(own: Sequence[Piece]) -> list[tuple[float, str]]:
    """Gives when each round trip of one connection began, and what it asked for."""
    began: list[tuple[float, bytes]] = []
    answered = True
    for piece in own:
        if piece.is_request and answered:
            began.append((piece.at, piece.data))
        elif piece.is_request:
            began[-1] = (began[-1][0], began[-1][1] + piece.data)
        answered = not piece.is_request
    statements = dict(match for _, data in began for match in _PARSED.findall(data))
    return [(at, _what(data, statements)) for at, data in began]


def _what(data: bytes, statements: dict[bytes, bytes]) -> str:
    """Gives the names of what a request asks for: commands, scripts, functions."""
    commands: list[bytes] = _COMMAND.findall(data)
    statement: list[bytes] = _NAMED.findall(data) or _SIMPLE.findall(data)
    names = [_SCRIPTS.get(name, name) for name in commands] or [statements.get(name, name) for name in statement]
    return "+".join(name.decode() for name in dict.fromkeys(names)) or "?"


_SCRIPTS = {script.digest.encode(): name.encode() for name, script in load_scripts().items()}
