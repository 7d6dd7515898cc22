"""A backlog merges, divides and drops; what comes out of it is what went in, or a gap."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.encoding import number
from app.core.ids import Birth, Incarnation, ItemId
from app.stores.bus import Announced, Delta, Gone, Live
from app.stores.relay.backlog import MAX_BYTES, MAX_MESSAGES, Backlog
from app.stores.relay.letters import Address, Part, messages_of, unpack_letter
from app.stores.relay.parts import Assembly, Divider
from tests.contracts.scenes import item, rid, title

ROOM = 5000
SENDER = Incarnation("sender")


def backlog(room: int = ROOM, parts: int = 4) -> Backlog:
    return Backlog(Address(b"session"), room, Divider(room, parts))


def messages(waiting: Backlog, rooms: Sequence[int] = ()) -> Iterator[Live]:
    """Yields what comes out, with so much room at a time, then with all there is."""
    assembly, rooms = Assembly(), list(rooms)
    while waiting:
        room = rooms.pop() if rooms else ROOM
        data = waiting.take(room)
        if data is None:
            assert room < ROOM, "what does not fit into a whole payload stays for ever"
            continue
        assert len(data) <= room
        letter = unpack_letter(data)
        if isinstance(letter, Part):
            whole = assembly.add(SENDER, letter)
            letter = unpack_letter(whole) if whole is not None else None
        if letter is not None:
            assert not isinstance(letter, Part)
            yield from messages_of(letter)  # pyright: ignore[reportArgumentType]


class Talk:
    """Deltas of items that are written side by side."""

    def __init__(self) -> None:
        self.d = 0
        self.texts: dict[str, str] = {}

    def says(self, which: str, text: str) -> Delta:
        self.d += 1
        offset = len(self.texts.get(which, ""))
        self.texts[which] = self.texts.get(which, "") + text
        return Delta(Birth("b"), 3, 1, self.d, rid(), ItemId(f"{item()}{which}"), "output", offset, text)


def heard(deltas: Sequence[Live]) -> dict[str, str]:
    """Gives the texts as a follower that drops nothing rebuilds them."""
    texts: dict[str, str] = {}
    d = 0
    for delta in deltas:
        assert isinstance(delta, Delta)
        assert delta.follows == d, "a gap"
        which = delta.item.removeprefix(item())
        assert delta.offset == len(texts.get(which, ""))
        texts[which] = texts.get(which, "") + delta.text
        d = delta.d
    return texts


@given(
    said=st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=40) | st.just("é" * 3000)), max_size=40),
    seals=st.sets(st.integers(0, 39)),
    rooms=st.lists(st.integers(0, ROOM), max_size=20),
)
def test_text_comes_out_whole_however_it_is_merged_and_divided(
    said: list[tuple[str, str]], seals: set[int], rooms: list[int]
) -> None:
    talk, waiting = Talk(), backlog()
    for place, (which, text) in enumerate(said):
        if place in seals:
            waiting.seal()
        waiting.add(talk.says(which, text), 0.0, everybody=False)
    assert heard(list(messages(waiting, rooms))) == talk.texts


def test_deltas_in_a_row_become_one() -> None:
    talk, waiting = Talk(), backlog()
    for word in ("one ", "two ", "three"):
        waiting.add(talk.says("a", word), 0.0, everybody=False)
    (merged,) = messages(waiting)
    assert isinstance(merged, Delta)
    assert (merged.text, merged.d, merged.merged, merged.follows, merged.offset) == ("one two three", 3, 2, 0, 0)


def test_nothing_is_merged_over_a_seal() -> None:
    talk, waiting = Talk(), backlog()
    waiting.add(talk.says("a", "told in the answer"), 0.0, everybody=False)
    waiting.seal()
    for word in ("not ", "told"):
        waiting.add(talk.says("a", word), 0.0, everybody=False)
    assert [(delta.d, delta.follows) for delta in messages(waiting) if isinstance(delta, Delta)] == [(1, 0), (3, 1)]


def test_nothing_is_merged_over_a_record() -> None:
    talk, waiting, announced = Talk(), backlog(), Announced(Birth("b"), 4)
    sent = [talk.says("a", "before"), announced, talk.says("a", "after")]
    for message in sent:
        waiting.add(message, 0.0, everybody=False)
    assert list(messages(waiting)) == sent


def test_a_delta_that_is_too_old_takes_all_others_with_it() -> None:
    talk, waiting, gone = Talk(), backlog(), Gone(Birth("b"))
    for which in "abab":
        waiting.add(talk.says(which, "text"), 1.0, everybody=False)
    waiting.add(gone, 1.0, everybody=True)
    waiting.expire(0.9)
    assert waiting.dropped == 0
    waiting.expire(1.1)
    assert waiting.dropped == 4
    assert list(messages(waiting)) == [gone]


def test_announcements_that_wait_too_long_become_one_with_the_newest_seq() -> None:
    waiting = backlog()
    for entry in number([title("x" * 1000) for _ in range(20)], 0):
        waiting.add(Announced(Birth("b"), entry.seq, (entry,)), 1.0, everybody=False)
    waiting.expire(2.0)
    (left,) = messages(waiting)
    assert isinstance(left, Announced)
    assert left.seq == 20
    assert [entry.seq for entry in left.entries] == list(range(1, len(left.entries) + 1))


def test_announcements_of_another_log_stay_apart() -> None:
    waiting = backlog()
    both = [Announced(Birth("b"), 9), Announced(Birth("c"), 1)]
    for announced in both:
        waiting.add(announced, 1.0, everybody=False)
    waiting.expire(2.0)
    assert list(messages(waiting)) == both


def test_records_that_do_not_fit_are_left_to_the_store() -> None:
    waiting = backlog()
    waiting.add(Announced(Birth("b"), 1, number([title("x" * ROOM)], 0)), 0.0, everybody=False)
    assert list(messages(waiting)) == [Announced(Birth("b"), 1, is_cut=True)]


@pytest.mark.parametrize("is_large", [True, False])
def test_announcements_that_become_one_say_when_records_had_no_room(is_large: bool) -> None:
    waiting = backlog()
    for seq in (1, 2):
        title_of = "x" * (ROOM * 2 // 3 if is_large else 9)
        waiting.add(Announced(Birth("b"), seq, number([title(title_of)], seq - 1)), 1.0, everybody=False)
    waiting.expire(2.0)
    (announced,) = messages(waiting)
    assert isinstance(announced, Announced)
    assert (announced.seq, len(announced.entries), announced.is_cut) == (2, 1 if is_large else 2, is_large)


@pytest.mark.parametrize("chars", [100, 2000])
def test_trap_an_unbounded_queue_between_producer_and_viewer(chars: int) -> None:
    """However much is said while nothing can be sent, what waits is bounded; then the newest state is announced."""
    talk, waiting = Talk(), backlog()
    for place in range(20_000):
        which = "ab"[place % 2]
        talk.texts.clear()
        waiting.add(talk.says(which, "x" * chars), 0.0, everybody=False)
        assert len(waiting._waiting) <= MAX_MESSAGES
        assert waiting._size <= MAX_BYTES
    waiting.add(Announced(Birth("b"), 99), 0.0, everybody=False)
    assert waiting.dropped > 10_000
    assert list(messages(waiting))[-1] == Announced(Birth("b"), 99)


def test_a_delta_beyond_all_bounds_is_a_gap() -> None:
    talk, waiting = Talk(), backlog()
    waiting.add(talk.says("a", "x" * ROOM * 5), 0.0, everybody=False)
    after = talk.says("a", "y")
    waiting.add(after, 0.0, everybody=False)
    assert list(messages(waiting)) == [after]
    assert waiting.dropped == 1
