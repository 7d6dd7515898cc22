"""A listener goes on listening, whatever it hears: noise, letters of newer programs, and letters that do harm here."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from app.core.ids import Incarnation
from app.stores.relay.inbox import Inbox
from app.stores.relay.letters import Letter, Nudging, Waking, address_of, encode, pack, unpack
from app.stores.relay.wire import Post
from tests.contracts.scenes import rid
from tests.contracts.test_bus import KEY, Mailbox, said
from tests.unit.stores.relay.media import Air, PostgresMedium, RedisMedium, Relays, open_medium

SOMEBODY = Incarnation("somebody")
NEWER = msgspec.msgpack.encode(["z", 1, {"a": b"newer"}])
"""A letter of a kind that this program does not know."""
NOISE = [b"", b"\xc1", b"\x93" * 5000, msgspec.msgpack.encode(["s"]), msgspec.msgpack.encode([1, 2]), b"\x92\xa1s\xc0"]


@pytest.mark.parametrize("noise", NOISE, ids=range(len(NOISE)))
def test_noise_is_no_payload(noise: bytes) -> None:
    assert unpack(noise) is None


def test_letters_of_newer_programs_do_not_take_the_others_along() -> None:
    known: list[Letter] = [Waking(), Nudging(address_of(KEY), rid())]
    payload = unpack(pack(SOMEBODY, [encode(known[0]), NEWER, encode(known[1])]))
    assert payload is not None
    assert (payload.sender, list(payload.letters)) == (SOMEBODY, known)


@pytest.mark.parametrize("medium", ["redis", "postgres"])
async def test_trap_garbage_on_the_channel_kills_the_listener(medium: str) -> None:
    """What comes after garbage from somebody else arrives as if there had been none."""
    async with AsyncExitStack() as stack:
        relays = Relays(await open_medium(medium, stack), stack)
        speaker, listener, box = await relays.start(), await relays.start(), Mailbox()
        await listener.bus.subscribe(KEY, box.deliver)
        await speaker.knows(KEY, listener)
        await speaker.wire.send([Post(None, noise) for noise in [*NOISE, pack(SOMEBODY, [NEWER])]])
        await shout(relays)
        speaker.bus.publish(KEY, said(1))
        await box.until(lambda: box.letters == [said(1)])


async def shout(relays: Relays) -> None:
    """Somebody says something that is not even encoded."""
    match relays.medium:
        case RedisMedium(connection=connection, db=db):
            await connection.command("PUBLISH", f"baton:{db}:all", "not base64, é")
        case PostgresMedium(database=database):
            for words in ("not base64, é", "abc", "YWJj"):
                await asyncio.to_thread(database.run, f"NOTIFY \"baton:all\", '{words}'")
        case _:
            raise AssertionError(relays.medium)


async def test_a_letter_that_cannot_be_dealt_with_does_not_take_the_others_along(
    air_relays: tuple[Relays, Air], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    speaker, listener = await air_relays[0].start(), await air_relays[0].start()
    box, original = Mailbox(), Inbox._read
    await listener.bus.subscribe(KEY, box.deliver)
    await speaker.knows(KEY, listener)

    def read(self: Inbox, sender: Incarnation, letter: Letter) -> None:
        if isinstance(letter, Nudging):
            raise TypeError("a bug")
        original(self, sender, letter)

    monkeypatch.setattr(Inbox, "_read", read)
    harmful, good = encode(Nudging(address_of(KEY), rid())), encode(Waking())
    await listener.bus.on_wake(box.ring)
    air_relays[1].carry(Post(None, pack(SOMEBODY, [harmful, good])))
    await box.until(lambda: box.rings == 1)
    assert "could not deal with a letter" in caplog.text


async def test_a_subscriber_that_fails_does_not_take_the_others_along(
    air_relays: tuple[Relays, Air], caplog: pytest.LogCaptureFixture
) -> None:
    replica, box = await air_relays[0].start(), Mailbox()

    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    await replica.bus.subscribe(KEY, fail)
    await replica.bus.subscribe(KEY, box.deliver)
    replica.bus.publish(KEY, said(1))
    await box.until(lambda: box.letters == [said(1)])
    assert "a subscriber failed" in caplog.text


async def test_a_sending_that_fails_with_a_bug_loses_only_what_was_sent(
    air_relays: tuple[Relays, Air], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.stores.relay.outbox.FAILURE_SECONDS", 0.01)
    speaker, listener, box = await air_relays[0].start(), await air_relays[0].start(), Mailbox()
    await listener.bus.subscribe(KEY, box.deliver)
    await speaker.knows(KEY, listener)
    failed = asyncio.Event()

    async def fail(_: object) -> None:
        failed.set()
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(speaker.wire, "send", fail)
        speaker.bus.publish(KEY, said(1))
        async with asyncio.timeout(5):
            await failed.wait()
    speaker.bus.publish(KEY, said(2))
    await box.until(lambda: said(2) in box.letters)
    assert "could not send" in caplog.text
