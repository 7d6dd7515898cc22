"""A wire that breaks mends itself, and the bus says again what may have got lost."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import cast

import pytest

from app.core.clock import SystemClock
from app.core.errors import StoreUnavailable
from app.core.ids import Birth, Incarnation
from app.stores.bus import Delta, Nudge
from app.stores.postgres.database import statements
from app.stores.postgres.notify import PostgresWire
from app.stores.redis.connection import open_client
from app.stores.redis.pubsub import RedisWire
from app.stores.relay.letters import address_of
from app.stores.relay.wire import Post
from app.testing.clock import ManualClock
from tests.contracts.scenes import item, key, rid
from tests.contracts.test_bus import KEY, Mailbox, open_items, said
from tests.support.services.postgres import postgres
from tests.support.services.redis import running, running_cluster, running_sentinels
from tests.unit.stores.relay.media import Air, RedisMedium, Relays, Replica, redis_medium, until

ME = Incarnation("me")


async def reaches(speaker: Replica, box: Mailbox, seq: int) -> None:
    """Returns once a message has arrived, said again and again."""
    async with asyncio.timeout(20):
        while said(seq) not in box.letters:
            speaker.bus.publish(KEY, said(seq))
            await asyncio.sleep(0.02)


async def test_what_is_said_after_a_break_arrives(real_relays: Relays) -> None:
    speaker, listener, box = await real_relays.start(), await real_relays.start(), Mailbox()
    await listener.bus.subscribe(KEY, box.deliver)
    await speaker.knows(KEY, listener)
    real_relays.medium.cut()
    await reaches(speaker, box, 1)


async def test_what_began_during_a_break_is_told_after_it(real_relays: Relays) -> None:
    one, other = await real_relays.start(ManualClock()), await real_relays.start(ManualClock())
    real_relays.medium.cut()
    await one.bus.subscribe(KEY, Mailbox().deliver)
    await other.bus.subscribe(key("other"), Mailbox().deliver)
    await other.knows(KEY, one)
    await one.knows(key("other"), other)


async def test_trap_the_listener_dies_silently_and_cancel_stops_working() -> None:
    """A server that restarts takes every subscription with it; nudges still arrive afterwards."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running())
        relays = Relays(await redis_medium(server, stack), stack)
        speaker, owner, box = await relays.start(), await relays.start(), Mailbox()
        await owner.bus.subscribe(KEY, box.deliver, home=True)
        server.kill()
        server.start()
        async with asyncio.timeout(10):
            while Nudge(rid()) not in box.letters:
                speaker.bus.publish(KEY, Nudge(rid()))
                await asyncio.sleep(0.05)


async def test_nodes_of_a_cluster_pass_it_on() -> None:
    with running_cluster() as cluster:
        async with AsyncExitStack() as stack:
            relays = Relays(RedisMedium(await stack.enter_async_context(open_client(cluster.url))), stack)
            replicas = [await relays.start() for _ in range(4)]
            boxes = [Mailbox() for _ in replicas]
            for replica, box in zip(replicas, boxes, strict=True):
                await replica.bus.subscribe(KEY, box.deliver)
            for replica in replicas[1:]:
                await replicas[0].knows(KEY, replica)
            await replicas[0].bus.answer(KEY, open_items)
            sent = [said(seq) for seq in range(1, 6)]
            for message in sent:
                replicas[0].bus.publish(KEY, message)
            for box in boxes:
                await box.until(lambda box=box: len(box.letters) == len(sent))
                assert box.letters == sent


async def test_a_failover_is_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stores.redis.pubsub.ECHO_SECONDS", 0.5)
    with running_sentinels() as sentinels:
        async with AsyncExitStack() as stack:
            relays = Relays(RedisMedium(await stack.enter_async_context(open_client(sentinels.url))), stack)
            speaker, listener, box = await relays.start(), await relays.start(), Mailbox()
            await listener.bus.subscribe(KEY, box.deliver)
            await speaker.knows(KEY, listener)
            await asyncio.to_thread(sentinels.fail_over)
            await reaches(speaker, box, 1)


class Deaf(RedisWire):
    """What it sends does not arrive, as if its server had lost touch with the others."""

    async def send(self, posts: Sequence[Post]) -> None:
        pass


@pytest.mark.parametrize("kind", [RedisWire, Deaf])
async def test_a_deaf_subscription_is_made_anew(kind: type[RedisWire], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stores.redis.pubsub.ECHO_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        with running() as server:
            medium = await redis_medium(server, stack)
            wire, mended = kind(medium.connection, ME, 0, SystemClock()), asyncio.Event()
            async with wire.open(lambda _: None, mended.set):
                with_mending = asyncio.wait_for(mended.wait(), 0.5 if kind is RedisWire else 5)
                if kind is Deaf:
                    await with_mending
                else:
                    with pytest.raises(TimeoutError):
                        await with_mending


async def test_a_connection_that_does_not_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stores.postgres.notify.SEND_SECONDS", 0.2)
    wire, mended = PostgresWire(postgres().database().url, ME, SystemClock()), asyncio.Event()
    async with wire.open(lambda _: None, mended.set), asyncio.timeout(10):
        with monkeypatch.context() as hanging:
            hanging.setitem(cast("dict[str, str]", statements()), "notify", "SELECT pg_sleep(60), $1::text, $2::text")
            with pytest.raises(StoreUnavailable):
                await wire.send([Post(ME, b"x")])
        await mended.wait()
        await wire.send([Post(ME, b"x")])


async def test_a_wire_that_fails_harms_nobody(air_relays: tuple[Relays, Air], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stores.relay.outbox.FAILURE_SECONDS", 0.01)
    one, other = await air_relays[0].start(), await air_relays[0].start()
    box, failed = Mailbox(), asyncio.Event()

    async def fail(posts: Sequence[Post]) -> None:
        failed.set()
        raise StoreUnavailable("no wire")

    with monkeypatch.context() as broken:
        broken.setattr(one.wire, "send", fail)
        await one.bus.subscribe(KEY, box.deliver)
        one.bus.publish(KEY, said(1))
        await box.until(lambda: box.letters == [said(1)])
        assert failed.is_set()
        assert address_of(KEY) not in other.bus.interest
    one.bus.publish(key("any"), said(1))
    air_relays[1].reconnects[one.name]()
    await until(lambda: address_of(KEY) in other.bus.interest)


async def test_a_wire_that_stood_still_costs_deltas_and_nothing_else(
    air_relays: tuple[Relays, Air], monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker, listener, box = await air_relays[0].start(), await air_relays[0].start(), Mailbox()
    await listener.bus.subscribe(KEY, box.deliver)
    await speaker.knows(KEY, listener)
    late, fresh = (Delta(Birth("b"), 3, 1, d, rid(), item(), "text", d, "x") for d in (1, 2))
    with monkeypatch.context() as still:
        still.setattr("app.stores.relay.outbox.DELTA_SECONDS", -1.0)  # whatever waits has waited for too long
        speaker.bus.publish(KEY, late)
        await until(lambda: speaker.bus.outbox.dropped == 1)
    speaker.bus.publish(KEY, fresh)
    await box.until(lambda: box.letters == [fresh])
