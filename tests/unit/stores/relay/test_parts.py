"""Divided letters come together again, or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import Incarnation
from app.stores.relay.letters import Part, unpack_letter
from app.stores.relay.parts import UNFINISHED, Assembly, Divider

ME, OTHER = Incarnation("me"), Incarnation("other")


def parts(divider: Divider, letter: bytes) -> list[Part]:
    encoded = list(divider.divide(letter))
    found = [part for part in map(unpack_letter, encoded) if isinstance(part, Part)]
    assert len(found) == len(encoded)
    return found


@given(st.binary(min_size=1, max_size=2000), st.integers(40, 500))
def test_parts_fit_and_make_the_letter(letter: bytes, room: int) -> None:
    divider, assembly = Divider(room, 1000), Assembly()
    assert all(len(part) <= room for part in divider.divide(letter))
    whole = [assembly.add(ME, part) for part in parts(divider, letter)]
    assert whole == [None] * (len(whole) - 1) + [letter]


def test_letters_of_several_senders_may_mix() -> None:
    assembly = Assembly()
    mine, theirs = parts(Divider(40, 9), b"mine" * 4), parts(Divider(40, 9), b"theirs" * 4)
    whole = [
        assembly.add(sender, part)
        for pair in zip(mine, theirs, strict=False)
        for sender, part in zip((ME, OTHER), pair, strict=True)
    ]
    assert b"mine" * 4 in whole


def test_a_letter_that_lost_a_part_never_comes() -> None:
    assembly, (first, _, *rest) = Assembly(), parts(Divider(40, 9), b"x" * 30)
    assert [assembly.add(ME, part) for part in (first, *rest)] == [None] * (1 + len(rest))


def test_unfinished_letters_are_few() -> None:
    assembly = Assembly()
    for number in range(1000):
        assembly.add(ME, Part(number, 0, 2, b"x"))
    assert len(assembly._unfinished) == UNFINISHED
    assembly.clear()
    assert not assembly._unfinished
