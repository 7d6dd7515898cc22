"""`Bus`: what is live reaches who asked for it, in order; nothing else is promised."""

import asyncio
from collections.abc import Callable

from app.core.ids import Birth
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Gone, Live, Nudge, OpenItems, OpenText
from tests.contracts.scenes import item, key, rid

KEY = key()
SECONDS = 5.0
"""What a message may take."""


class Mailbox:
    """Keeps what was delivered, and waits for more."""

    def __init__(self) -> None:
        self.letters: list[Live] = []
        self.rings = 0
        self._changed = asyncio.Event()

    def deliver(self, message: Live) -> None:
        self.letters.append(message)
        self._changed.set()

    def ring(self) -> None:
        self.rings += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def said(seq: int) -> Announced:
    return Announced(Birth("b"), seq)


def delta(d: int) -> Delta:
    return Delta(Birth("b"), 3, 1, d, rid(), item(), "text", d, "é")


def open_items(text: str = "so far") -> OpenItems:
    return OpenItems(Birth("b"), 3, 1, 7, (OpenText(rid(), item(), "text", text),))


async def test_messages_arrive_in_order(stores: Stores) -> None:
    box = Mailbox()
    await stores.bus.subscribe(KEY, box.deliver)
    sent: list[Live] = [delta(1), said(4), delta(2), Nudge(rid()), Gone(Birth("b"))]
    for message in sent:
        stores.bus.publish(KEY, message)
    await box.until(lambda: len(box.letters) == len(sent))
    assert box.letters == sent


async def test_every_subscriber_gets_every_message(stores: Stores) -> None:
    boxes = [Mailbox() for _ in range(3)]
    for box in boxes:
        await stores.bus.subscribe(KEY, box.deliver)
    stores.bus.publish(KEY, said(1))
    for box in boxes:
        await box.until(lambda box=box: bool(box.letters))
        assert box.letters == [said(1)]


async def test_other_sessions_are_not_heard(stores: Stores) -> None:
    mine, theirs = Mailbox(), Mailbox()
    await stores.bus.subscribe(KEY, mine.deliver)
    await stores.bus.subscribe(key("other"), theirs.deliver)
    stores.bus.publish(KEY, said(1))
    stores.bus.publish(key("other"), said(2))
    await theirs.until(lambda: bool(theirs.letters))
    await mine.until(lambda: bool(mine.letters))
    assert (mine.letters, theirs.letters) == ([said(1)], [said(2)])


async def test_earlier_messages_are_not_replayed(stores: Stores) -> None:
    box = Mailbox()
    stores.bus.publish(KEY, said(1))
    await stores.bus.subscribe(KEY, box.deliver)
    stores.bus.publish(KEY, said(2))
    await box.until(lambda: bool(box.letters))
    assert box.letters == [said(2)]


async def test_nothing_arrives_after_the_stop(stores: Stores) -> None:
    stopped, other = Mailbox(), Mailbox()
    stop = await stores.bus.subscribe(KEY, stopped.deliver)
    await stores.bus.subscribe(KEY, other.deliver)
    stores.bus.publish(KEY, said(1))
    stop()
    stop()
    stores.bus.publish(KEY, said(2))
    await other.until(lambda: len(other.letters) == 2)
    assert stopped.letters == []


async def test_who_stops_while_it_hears_disturbs_nobody(stores: Stores) -> None:
    other, stops = Mailbox(), list[Callable[[], None]]()
    stops.append(await stores.bus.subscribe(KEY, lambda _: stops[0]()))
    await stores.bus.subscribe(KEY, other.deliver)
    for seq in (1, 2):
        stores.bus.publish(KEY, said(seq))
    await other.until(lambda: len(other.letters) == 2)


async def test_what_a_subscriber_publishes_comes_after_what_it_heard(stores: Stores) -> None:
    box = Mailbox()

    def echo(message: Live) -> None:
        if message == said(1):
            stores.bus.publish(KEY, said(3))

    await stores.bus.subscribe(KEY, echo)
    await stores.bus.subscribe(KEY, box.deliver)
    stores.bus.publish(KEY, said(1))
    stores.bus.publish(KEY, said(2))
    await box.until(lambda: len(box.letters) == 3)
    assert box.letters == [said(1), said(2), said(3)]


async def test_publishing_for_nobody_is_no_error(stores: Stores) -> None:
    stores.bus.publish(KEY, said(1))
    stores.bus.wake()


async def test_a_wake_up_reaches_everybody(stores: Stores) -> None:
    boxes = [Mailbox() for _ in range(2)]
    stops = [await stores.bus.on_wake(box.ring) for box in boxes]
    stores.bus.wake()
    for box in boxes:
        await box.until(lambda box=box: box.rings > 0)
    stops[0]()
    heard = boxes[0].rings
    stores.bus.wake()
    await boxes[1].until(lambda: boxes[1].rings > heard)
    assert boxes[0].rings == heard


async def test_the_owner_answers_with_what_it_has_now(stores: Stores) -> None:
    text = ["so"]
    await stores.bus.answer(KEY, lambda: open_items(text[0]))
    assert await stores.bus.ask(KEY, SECONDS) == open_items("so")
    text[0] = "so far"
    assert await stores.bus.ask(KEY, SECONDS) == open_items("so far")


async def test_nobody_answers_for_another_session(stores: Stores) -> None:
    await stores.bus.answer(KEY, open_items)
    assert await stores.bus.ask(key("other"), 0.05) is None


async def test_nobody_answers_after_the_stop(stores: Stores) -> None:
    stop = await stores.bus.answer(KEY, open_items)
    stop()
    stop()
    assert await stores.bus.ask(KEY, 0.05) is None


async def test_a_later_owner_answers_and_an_earlier_ones_stop_does_not_silence_it(stores: Stores) -> None:
    stop = await stores.bus.answer(KEY, lambda: open_items("earlier"))
    await stores.bus.answer(KEY, lambda: open_items("later"))
    assert await stores.bus.ask(KEY, SECONDS) == open_items("later")
    stop()
    assert await stores.bus.ask(KEY, SECONDS) == open_items("later")
