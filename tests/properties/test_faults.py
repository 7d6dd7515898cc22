"""The wrappers that other proofs stand on: a fault strikes where it should, and a count is the count."""

import asyncio

import pytest

from app.core.errors import BlobNotFound, StoreUnavailable
from app.testing.counting import CallCounter
from app.testing.faults import Faulty, Mishap


class Shelf:
    """A port with an effect that can be seen."""

    def __init__(self) -> None:
        self.put_down: list[str] = []

    async def put(self, thing: str) -> int:
        self.put_down.append(thing)
        return len(self.put_down)

    async def get(self, place: int) -> str:
        if place >= len(self.put_down):
            raise BlobNotFound(str(place))
        return self.put_down[place]

    def publish(self, thing: str) -> None:
        self.put_down.append(thing)


async def use(shelf: Shelf) -> list[int]:
    return [await shelf.put(thing) for thing in "abc"]


@pytest.mark.parametrize(("mishap", "left"), [(Mishap.FAILS, "a"), (Mishap.REPLY_LOST, "ab")])
async def test_the_chosen_call_fails_before_or_after_its_effect(mishap: Mishap, left: str) -> None:
    shelf, faulty = Shelf(), Faulty(2, mishap)
    guarded = faulty.guard(shelf, "shelf")
    with pytest.raises(StoreUnavailable, match=r"shelf\.put"):
        await use(guarded)
    assert faulty.struck.is_set()
    assert "".join(shelf.put_down) == left
    assert await guarded.put("d") == len(left) + 1, "only the chosen call goes wrong"


@pytest.mark.parametrize(("mishap", "left"), [(Mishap.HANGS, "a"), (Mishap.DIES, "ab")])
async def test_the_chosen_call_hangs_until_it_is_cancelled(mishap: Mishap, left: str) -> None:
    shelf, faulty = Shelf(), Faulty(2, mishap)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        using = tasks.create_task(use(faulty.guard(shelf, "shelf")))
        await faulty.struck.wait()
        assert not using.done()
        using.cancel()
    assert using.cancelled()
    assert "".join(shelf.put_down) == left


async def test_after_a_death_no_call_gets_through() -> None:
    shelf, faulty = Shelf(), Faulty(1, Mishap.DIES)
    guarded = faulty.guard(shelf, "shelf")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guarded.put("a"), 0.01)
    assert shelf.put_down == ["a"]


@pytest.mark.parametrize("mishap", Mishap)
async def test_a_program_with_fewer_calls_is_left_alone(mishap: Mishap) -> None:
    shelf, faulty = Shelf(), Faulty(4, mishap)
    assert await use(faulty.guard(shelf, "shelf")) == [1, 2, 3]
    assert (faulty.calls, faulty.struck.is_set()) == (3, False)


async def test_calls_are_counted_over_all_guarded_ports() -> None:
    first, second, faulty = Shelf(), Shelf(), Faulty(2, Mishap.FAILS)
    await faulty.guard(first, "first").put("a")
    with pytest.raises(StoreUnavailable, match="second"):
        await faulty.guard(second, "second").put("b")


async def test_calls_are_counted_by_port_and_method() -> None:
    counter = CallCounter()
    first, second = counter.watch(Shelf(), "first"), counter.watch(Shelf(), "second")
    await use(first)
    with pytest.raises(BlobNotFound):
        await second.get(0)
    second.publish("not awaited, no round trip")
    assert counter.calls == {("first", "put"): 3, ("second", "get"): 1}
    assert (counter.total(), counter.total("first"), counter.total("first", "second")) == (4, 3, 4)
    counter.reset()
    assert counter.total() == 0
