"""Under a flood Postgres is spared: the budget holds, and what does not fit is a gap, never a wrong text."""

import asyncio
from base64 import b64encode
from contextlib import AsyncExitStack

import pytest

from app.core.ids import Birth, ItemId
from app.core.keys import SessionKey
from app.stores.bus import Announced, Delta, Live
from app.stores.postgres.notify import NOTIFY_BYTES, TERMS
from app.stores.relay.wire import Terms
from tests.contracts.scenes import key, rid
from tests.unit.stores.relay.media import Air, Relays, Replica, open_medium, until

BURST = 20
"""Notifications in any second, at the most."""


class Follower:
    """Rebuilds each item's text, and counts gaps."""

    def __init__(self) -> None:
        self.d = 0
        self.gaps = 0
        self.seq = 0
        self.texts: dict[ItemId, str] = {}

    def hear(self, message: Live) -> None:
        match message:
            case Delta(d=d, item=item, offset=offset, text=text):
                if message.follows != self.d:
                    assert message.follows > self.d, "a delta twice"
                    self.gaps += 1
                    self.texts.clear()
                if item in self.texts or not offset:
                    assert len(self.texts.get(item, "")) == offset, "text was lost without a gap"
                    self.texts[item] = self.texts.get(item, "") + text
                self.d = d
            case Announced(seq=seq):
                self.seq = max(self.seq, seq)
            case _:
                raise AssertionError(message)


class Run:
    """Three commands that print side by side."""

    def __init__(self, session: SessionKey, speaker: Replica) -> None:
        self.session = session
        self.texts: dict[ItemId, str] = {}
        self.seq = 3
        self.d = 0
        self._bus = speaker.bus

    def say(self, text: str) -> None:
        self.d += 1
        item = ItemId(f"{rid()}:0:{self.d % 3}")
        before = self.texts.get(item, "")
        self._bus.publish(
            self.session, Delta(Birth("b"), self.seq, 1, self.d, rid(), item, "output", len(before), text)
        )
        self.texts[item] = before + text

    def commit(self) -> None:
        self.seq += 1
        self._bus.publish(self.session, Announced(Birth("b"), self.seq))


async def flood(relays: Relays, runs: int, seconds: float, text: str) -> tuple[Replica, list[Run], list[Follower]]:
    speaker, listener = await relays.start(), await relays.start()
    talks = [Run(key(f"s{number}"), speaker) for number in range(runs)]
    followers = [Follower() for _ in talks]
    for talk, follower in zip(talks, followers, strict=True):
        await listener.bus.subscribe(talk.session, follower.hear)
        await speaker.bus.subscribe(talk.session, lambda _: None, home=True)
        await speaker.knows(talk.session, listener)
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        for talk in talks:
            talk.say(text)
        if talks[0].d % 20 == 0:
            for talk in talks:
                talk.commit()
        await asyncio.sleep(0.01)
    for talk in talks:
        talk.commit()
    for talk, follower in zip(talks, followers, strict=True):
        await until(lambda talk=talk, follower=follower: follower.seq == talk.seq)
    return speaker, talks, followers


def assert_within_budget(speaker: Replica) -> None:
    times = speaker.wire.times
    assert len(times) > BURST, "it was a flood"
    assert all(later - earlier >= 0.995 for earlier, later in zip(times, times[BURST:], strict=False))
    assert max(len(b64encode(post.payload)) for post in speaker.wire.posts) <= NOTIFY_BYTES


@pytest.mark.parametrize("medium", ["air", "postgres"])
async def test_twenty_notifications_a_second_carry_twenty_sessions_of_three_commands(medium: str) -> None:
    async with AsyncExitStack() as stack:
        relays = Relays(Air(TERMS) if medium == "air" else await open_medium(medium, stack), stack)
        speaker, talks, followers = await flood(relays, 20, 1.5, "a line\n")
        assert_within_budget(speaker)
        for talk, follower in zip(talks, followers, strict=True):
            assert (follower.gaps, follower.texts) == (0, talk.texts)


async def test_beyond_the_budget_there_are_gaps_but_no_wrong_text() -> None:
    async with AsyncExitStack() as stack:
        speaker, talks, followers = await flood(Relays(Air(TERMS), stack), 20, 1.5, "é" * 400)
        assert_within_budget(speaker)
        assert sum(follower.gaps for follower in followers) > 0
        assert speaker.bus.outbox.dropped > 0
        assert len(talks) == len(followers)


async def test_a_delta_that_is_larger_than_a_notification_arrives_in_parts() -> None:
    async with AsyncExitStack() as stack:
        relays = Relays(await open_medium("postgres", stack), stack)
        speaker, (talk,), (follower,) = await flood(relays, 1, 0.03, "é" * 5000)
        assert (follower.gaps, follower.texts) == (0, talk.texts)
        assert max(len(post.payload) for post in speaker.wire.posts) <= TERMS.limit


async def test_redis_carries_all_of_it() -> None:
    async with AsyncExitStack() as stack:
        relays = Relays(await open_medium("redis", stack), stack)
        _, talks, followers = await flood(relays, 20, 0.5, "é" * 400)
        for talk, follower in zip(talks, followers, strict=True):
            assert (follower.gaps, follower.texts) == (0, talk.texts)


async def test_what_is_for_several_replicas_goes_to_everybody_once_where_payloads_are_dear() -> None:
    async with AsyncExitStack() as stack:
        terms = Terms(limit=5000, pace=0.01, parts=4, shared=True)
        relays = Relays(Air(terms), stack)
        speaker, *listeners = [await relays.start() for _ in range(3)]
        boxes = [Follower() for _ in listeners]
        talk = Run(key(), speaker)
        for listener, box in zip(listeners, boxes, strict=True):
            await listener.bus.subscribe(talk.session, box.hear)
            await speaker.knows(talk.session, listener)
        before = len(speaker.wire.posts)
        talk.say("hello")
        await until(lambda: all(box.d == 1 for box in boxes))
        assert [post.to for post in speaker.wire.posts[before:]] == [None]
