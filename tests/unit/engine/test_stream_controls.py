"""The stream checker's own controls: each mutation is one line of the stream gone wrong, and must turn it red."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.ids import item_id
from app.core.keys import SessionKey
from app.core.records import Effect
from app.core.tools import ToolOutput
from app.engine.channel import Channel
from app.engine.frames import Frame, delta_frame
from app.engine.shown import Shown
from app.engine.stream import Stream
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, Live
from app.tools.base import ToolContext, describe
from tests.support.puppet import Call, Puppet
from tests.support.replica import AGENT, WHO, Replica, key_of, replica
from tests.support.tools import NoArguments, TalkingTool
from tests.support.viewer import Viewer

Mutate = Callable[[pytest.MonkeyPatch], None]

WORDS = 8
KEY = key_of("s1")


def change_nothing(_: pytest.MonkeyPatch) -> None:
    """The stream as it is."""


def drop_a_delta(patch: pytest.MonkeyPatch) -> None:
    """One piece of the answer is not sent."""
    original = Stream._pass_delta

    def careless(self: Stream, channel: Channel, frame: Frame) -> bytes:
        data = original(self, channel, frame)
        return b"" if frame.d == 3 else data

    patch.setattr(Stream, "_pass_delta", careless)


def repeat_a_record(patch: pytest.MonkeyPatch) -> None:
    """What the ring has is sent from its beginning, whatever the follower has seen."""
    follow, check = Stream._follow, Stream._pass_record

    def from_the_first(self: Stream, channel: Channel, position: int) -> AsyncGenerator[bytes, None]:
        return follow(self, channel, min(position, channel.ring.first))

    def careless(self: Stream, frame: Frame) -> bytes:
        return frame.data if frame.seq <= self._last else check(self, frame)

    patch.setattr(Stream, "_follow", from_the_first)
    patch.setattr(Stream, "_pass_record", careless)


def subscribe_after_replay(patch: pytest.MonkeyPatch) -> None:
    """What came while a follower was replaying is passed over."""
    original = Stream._follow

    def late(self: Stream, channel: Channel, position: int) -> AsyncGenerator[bytes, None]:
        return original(self, channel, channel.ring.end)

    patch.setattr(Stream, "_follow", late)


def forget_to_stamp(patch: pytest.MonkeyPatch) -> None:
    """A delta keeps its runner's seq for a follower that is ahead of it."""

    def as_it_is(frame: Frame, *_: object) -> bytes:
        return frame.data

    patch.setattr("app.engine.stream.stamped", as_it_is)


def pass_old_epochs(patch: pytest.MonkeyPatch) -> None:
    """Deltas of an owner that was replaced are sent on."""
    take, check = Channel._take_delta, Stream._pass_delta

    def careless_take(self: Channel, delta: Delta) -> None:
        take(self, delta)
        if delta.epoch < self.ring.epoch:
            self.ring.put(delta_frame(delta, self.ring.seq))
            self.pulse()

    def careless_pass(self: Stream, channel: Channel, frame: Frame) -> bytes:
        return frame.data if frame.epoch < self._epoch else check(self, channel, frame)

    patch.setattr(Channel, "_take_delta", careless_take)
    patch.setattr(Stream, "_pass_delta", careless_pass)


def show_closed_items(patch: pytest.MonkeyPatch) -> None:
    """The owner goes on offering an item whose record is in the log."""

    def keep(*_: object) -> None:
        return

    patch.setattr(Shown, "drop", keep)


class HoldingTool:
    """Shows that it has begun, and waits."""

    def __init__(self, gate: asyncio.Event) -> None:
        self._gate = gate
        self.spec = describe("hold", "Holds.", NoArguments, Effect.PURE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        context.emit("begun")
        await self._gate.wait()
        return ToolOutput(text="held")


class Client:
    """Reads a little, lets the others run, and connects anew."""

    def __init__(self) -> None:
        self.seen = Viewer(whole_session=True)

    async def read(self, server: Replica, reads: int, gate: asyncio.Event | None = None, after: int = 0) -> None:
        """That many reads on one connection, and a turn for the others in between; the gate opens after one of them."""
        self.seen.reconnect()
        stream = await server.engine.follow_session(WHO, AGENT, KEY.session, self.seen.last_id)
        async with aclosing(stream.frames()) as frames:
            for i in range(reads):
                self.seen.feed(await anext(frames))
                if gate is not None and i == after:
                    gate.set()
                for _ in range(20):
                    await asyncio.sleep(0)

    async def until(self, server: Replica, record: str, count: int = 1) -> None:
        """Reads until that many records of the type were seen."""
        while len(self.seen.of_type(record)) < count:
            await self.read(server, 2)


def losing_bare_announcements(publish: Callable[[SessionKey, Live], None]) -> Callable[[SessionKey, Live], None]:
    """Gives a bus's `publish` that loses announcements of others' records, as a bus may."""

    def lossy(key: SessionKey, message: Live) -> None:
        if not isinstance(message, Announced) or message.entries:
            publish(key, message)

    return lossy


async def story(stores: Stores, directory: Path, patch: pytest.MonkeyPatch) -> None:
    """A client that reconnects all the time follows a session over an answer, calls, a queued input and a takeover."""
    patch.setattr("app.engine.shown.COALESCE_SECONDS", 0.0)
    patch.setattr(stores.bus, "publish", losing_bare_announcements(stores.bus.publish))
    gates, held = [asyncio.Event() for _ in range(WORDS)], asyncio.Event()
    words = [piece for gate in gates for piece in ("wörd🎉 ", gate)]
    model = Puppet([*words, Call("talk", "{}"), Call("hold", "{}")], ["half", asyncio.Event()])
    tools = (TalkingTool("some ", "output"), HoldingTool(held))
    client = Client()
    async with replica(stores, model, directory, tools=tools) as first:
        accepted = await first.say("go")
        for i, gate in enumerate(gates):
            await client.read(first, 2, gate)
            if i == WORDS // 2:
                await first.say("later")
                await Client().read(first, 3, gates[i + 1], after=1)
        await client.until(first, "tool.finished")
        await client.read(first, 2)
        held.set()
        await client.until(first, "tool.finished", 2)
        while not client.seen.texts:
            await client.read(first, 2)
    go_on = asyncio.Event()
    model.answers = (model.answers[0], ["whole ", go_on, "answer"], ["b"])
    async with replica(stores, model, directory, tools=tools) as second:
        while not client.seen.of_type("run.resumed") or not client.seen.texts:
            await client.read(second, 2)
        item, seq = item_id(accepted.run_id, 2, 0), client.seen.records[-1]["seq"]
        stale = Delta(accepted.birth, seq, 1, 99, accepted.run_id, item, "text", 6, "of the past")
        stream = await second.engine.follow_session(WHO, AGENT, KEY.session, client.seen.last_id)
        async with aclosing(stream.frames()) as frames:
            client.seen.reconnect()
            client.seen.feed(await anext(frames))
            stores.bus.publish(KEY, stale)
            go_on.set()
            while len(client.seen.of_type("run.finished")) < 2:
                client.seen.feed(await anext(frames))
    assert "whole answer" in client.seen.closed.values()


@pytest.mark.parametrize(
    ("mutate", "red"),
    [
        (change_nothing, False),
        (drop_a_delta, True),
        (repeat_a_record, True),
        (subscribe_after_replay, True),
        (forget_to_stamp, True),
        (pass_old_epochs, True),
        (show_closed_items, True),
    ],
)
async def test_mutation(
    mutate: Mutate, red: bool, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    found: BaseException | None = None
    try:
        async with asyncio.timeout(1 if red else 20):
            await story(stores, tmp_path, monkeypatch)
    except (AssertionError, TimeoutError) as error:
        found = error
    assert (found is not None) == red, found
