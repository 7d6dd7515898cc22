"""What counts as a round trip, and whose it is."""

from app.stores.redis.scripts import load_scripts
from tests.bench.trips import Traffic, Trip, traffic, trips
from tests.bench.turns import Turn, count, late, polls
from tests.bench.wire import Piece

TURN = Turn(1.0, 1.05)


def script(name: str) -> bytes:
    return f"*3\r\n$7\r\nEVALSHA\r\n$40\r\n{load_scripts()[name].digest}\r\n$1\r\n0\r\n".encode()


def command(name: str) -> bytes:
    return f"*1\r\n${len(name)}\r\n{name}\r\n".encode()


def request(at: float, data: bytes, connection: int = 0) -> Piece:
    return Piece(at, connection, True, len(data), data)


def answer(at: float, size: int = 5, connection: int = 0) -> Piece:
    return Piece(at, connection, False, size)


def names(*pieces: Piece) -> list[str]:
    return [trip.what for trip in trips(pieces)]


def test_what_waits_for_an_answer_is_a_round_trip_of_its_own() -> None:
    asked = (request(0, script("submit")), answer(1), request(2, script("commit")), answer(3))
    assert names(*asked) == ["submit", "commit"]


def test_what_is_sent_together_is_one_round_trip_in_however_many_packets() -> None:
    whole = script("submit") + command("PUBLISH")
    assert names(request(0, whole[:20]), request(1, whole[20:]), answer(2), answer(3)) == ["submit+PUBLISH"]


def test_two_connections_are_two_round_trips() -> None:
    assert names(request(0, command("GET")), request(0, command("GET"), connection=1)) == ["GET", "GET"]


def test_what_the_store_says_unasked_is_no_round_trip() -> None:
    assert names(answer(0), answer(1)) == []


def test_statements_of_postgres_are_named_by_what_they_call() -> None:
    parse = b"P\0\0\0\x20__asyncpg_stmt_1__\0SELECT outcome FROM baton.submit_v1($1)\0\0\0"
    bind = b"B\0\0\0\x20\0__asyncpg_stmt_1__\0\0\1\0\1"
    simple = b"Q\0\0\0\x0bBEGIN;\0"
    asked = (request(0, parse), answer(1), request(2, simple), answer(3), request(4, bind), answer(5))
    assert names(*asked) == ["submit_v1", "BEGIN", "submit_v1"]


def test_the_heartbeat_is_known_by_its_connection() -> None:
    pieces = [
        request(0, script("submit")),
        answer(1, 7),
        request(0, command("SELECT"), connection=1),
        answer(1, connection=1),
        request(2, script("replica_beat"), connection=1),
    ]
    assert [trip.what for trip in trips(pieces) if not trip.is_heartbeat] == ["submit"]
    assert traffic(pieces, 0, 9) == Traffic(len(script("submit")), 7)
    assert traffic(pieces, 1, 9) == Traffic(0, 7)


def test_what_is_asked_between_turns_is_a_poll_and_what_comes_just_after_one_is_late() -> None:
    asked = [
        Trip(at, what, is_heartbeat=False)
        for at, what in ((1.0, "submit"), (1.04, "take"), (1.1, "publish"), (3.0, "take"))
    ]
    others = [Turn(2.0, 2.05), Turn(2.5, 2.55)]
    assert polls([TURN, *others], asked) == {"take": 1}
    assert late([TURN, *others], asked) == {"publish": 1}
    assert count(TURN, asked).asked == ("submit", "take")


def test_what_turns_ask_as_well_as_polls_is_a_turns_own() -> None:
    asked = [Trip(at, "BEGIN", is_heartbeat=False) for at in (1.0, 2.0, 5.0)]
    assert polls([TURN, Turn(2.0, 2.05)], asked) == {}
    assert polls([TURN, Turn(2.1, 2.15), Turn(3.0, 3.05)], asked) == {"BEGIN": 2}
