"""Letters and messages take turns on a narrow wire: however much is followed here, what is live still gets through."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack

import pytest

from app.core.ids import Birth
from app.stores.bus import Announced
from app.stores.relay.letters import Following, address_of, unpack
from app.stores.relay.outbox import Outbox
from app.stores.relay.wire import Post, Terms
from app.testing.clock import ManualClock
from tests.contracts.scenes import key
from tests.contracts.test_bus import KEY, Mailbox, delta
from tests.unit.stores.relay.media import Air, Relays, until

NARROW = Terms(limit=1200, pace=0.01, parts=4, shared=True)


@pytest.fixture
async def narrow() -> AsyncGenerator[Relays, None]:
    async with AsyncExitStack() as stack:
        yield Relays(Air(NARROW), stack)


def kinds(posts: Sequence[Post]) -> list[str]:
    """Gives what each payload has: letters that say who follows, or messages, or both."""
    named: list[str] = []
    for post in posts:
        payload = unpack(post.payload)
        assert payload is not None
        told = {type(letter) for letter in payload.letters}
        named.append("both" if told > {Following} else "letters" if told == {Following} else "messages")
    return named


async def check_turns(relays: Relays) -> None:
    """A message waits for one payload of letters at most, though there are many."""
    clock = ManualClock()
    speaker, listener, box = await relays.start(clock), await relays.start(clock), Mailbox()
    await listener.bus.subscribe(KEY, box.deliver)
    await speaker.knows(KEY, listener)
    for number in range(2000):
        await speaker.bus.subscribe(key(f"s{number}"), box.deliver, home=True)
    before = len(speaker.wire.posts)
    clock.advance(2)
    await until(lambda: len(speaker.wire.posts) > before)
    now = len(speaker.wire.posts)
    speaker.bus.publish(KEY, delta(1))
    await box.until(lambda: box.letters == [delta(1)])
    sent = kinds(speaker.wire.posts[now:])
    assert len(sent) <= 3, sent
    await until(lambda: len(listener.bus.interest.of(address_of(key("s1999")))) == 1)


async def test_a_message_does_not_wait_for_all_letters(narrow: Relays) -> None:
    await check_turns(narrow)


async def test_letters_that_always_come_first_would_be_noticed(narrow: Relays, monkeypatch: pytest.MonkeyPatch) -> None:
    def letters_first(self: Outbox, room: int) -> object:
        return self._next_letter(room) if self._letters else self._next_message(room)

    monkeypatch.setattr(Outbox, "next", letters_first)
    with pytest.raises(AssertionError):
        await check_turns(narrow)


async def test_a_letter_does_not_wait_for_all_messages(narrow: Relays) -> None:
    speaker, listener = await narrow.start(), await narrow.start()
    for number in range(50):
        await listener.bus.subscribe(key(f"s{number}"), lambda _: None)
        await speaker.bus.subscribe(key(f"s{number}"), lambda _: None, home=True)
    await speaker.knows(key("s49"), listener)
    before = len(speaker.wire.posts)
    for number in range(50):
        for seq in range(20):
            speaker.bus.publish(key(f"s{number}"), Announced(Birth("b"), seq))
    box = Mailbox()
    await listener.bus.on_wake(box.ring)
    speaker.bus.wake()
    await box.until(lambda: box.rings > 0)
    assert len(speaker.wire.posts) - before <= 4


async def test_a_renewal_that_is_not_through_is_not_begun_again(
    narrow: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    speaker = await narrow.start(clock)
    for number in range(1000):
        await speaker.bus.subscribe(key(f"s{number}"), lambda _: None, home=True)
    gate, send = asyncio.Event(), speaker.wire.wire.send

    async def slow(posts: Sequence[Post]) -> None:
        await gate.wait()
        await send(posts)

    monkeypatch.setattr(speaker.wire, "send", slow)
    for _ in range(20):
        clock.advance(2)
        await asyncio.sleep(0.005)
    assert speaker.bus.outbox._size < 1000 * 16 * 1.2
    gate.set()
