"""A channel passes on only what continues what its followers were shown; for the rest it asks, or reads the store."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence

import pytest

from app.core.clock import SystemClock
from app.core.errors import StoreUnavailable
from app.core.ids import Birth, ItemId, RunId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.engine.channel import Channel
from app.engine.frames import Cursor
from app.stores.base import Claimed, Position
from app.stores.bundle import Stores
from app.stores.bus import Announced, Delta, OpenItems, OpenText
from tests.contracts.backend_memory import MemoryBackend
from tests.contracts.scenes import answer, begin, key, rid, title
from tests.support.sse import Event, parse_frame

KEY = key()
RUN = rid()
ITEM = ItemId(f"{RUN}:0:0")
WORDS = ("one ", "two ", "three ", "four ", "five ", "six ")


class Owner:
    """Answers the channel's questions, or does not, and counts what the channel does."""

    def __init__(self, stores: Stores) -> None:
        self.sessions = stores.sessions
        self.gaps = 0
        self.asked = 0
        self.answers: OpenItems | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[None, None, None]) -> object:
        self._tasks.append(asyncio.ensure_future(work))
        return None

    async def ask(self, key: SessionKey) -> OpenItems | None:
        self.asked += 1
        return self.answers

    async def settle(self) -> None:
        """Whatever the channel began is done."""
        while self._tasks:
            await self._tasks.pop()


class Scene:
    """A session whose run has begun, a channel of it, and its owner."""

    def __init__(self, stores: Stores, claimed: Claimed) -> None:
        self.stores, self.claimed = stores, claimed
        self.birth: Birth = claimed.log.head.birth
        self.seq = claimed.log.head.seq
        self.epoch = claimed.claim.epoch
        self.owner = Owner(stores)
        self.channel = Channel(KEY, self.owner)

    def delta(self, d: int, text: str | None = None, *, merged: int = 0, epoch: int | None = None) -> Delta:
        """Gives the d-th word; with `merged`, the words before it as well."""
        said = "".join(WORDS[d - merged - 1 : d]) if text is None else text
        offset = len("".join(WORDS[: d - merged - 1]))
        where = self.epoch if epoch is None else epoch
        return Delta(self.birth, self.seq, where, d, RunId(RUN), ITEM, "text", offset, said, merged)

    def opened(self, d: int, *, seq: int | None = None, epoch: int | None = None) -> OpenItems:
        """Gives what the owner says when it has shown `d` words."""
        text = OpenText(RunId(RUN), ITEM, "text", "".join(WORDS[:d]))
        where = self.epoch if epoch is None else epoch
        return OpenItems(self.birth, self.seq if seq is None else seq, where, d, (text,))

    async def hear(self, *messages: Delta | Announced) -> None:
        """The messages came, and all that they caused is done."""
        for message in messages:
            self.channel.deliver(message)
        await self.owner.settle()

    def shown(self) -> list[Event]:
        """Gives what a follower from the beginning was shown."""
        frames = [parse_frame(frame.data[:-2]) for frame in self.channel.ring.since(self.channel.ring.first)]
        return [frame for frame in frames if frame is not None]

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.shown()]

    async def commit(self, number: int, *records: str) -> Sequence[Entry]:
        """Gives the entries of a commit of answers."""
        written = [answer(text=text) for text in records]
        done = await self.stores.sessions.commit(KEY, self.claimed.claim, number, self.seq, written)
        self.seq = done.seq
        return done.written


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def scene(backend: MemoryBackend) -> AsyncGenerator[Scene, None]:
    async with backend.open(SystemClock()) as stores:
        yield Scene(stores, await begin(stores, KEY))


def primed(scene: Scene) -> Scene:
    """Gives the scene with its channel open before the run's first delta."""
    scene.channel.begin(scene.birth, scene.seq, scene.epoch, 0)
    return scene


async def test_deltas_in_order_are_passed_on(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1), scene.delta(2), scene.delta(2), scene.delta(3))
    assert scene.names == ["delta"] * 3
    assert not scene.owner.asked


async def test_a_lost_first_delta_is_noticed(scene: Scene) -> None:
    primed(scene).owner.answers = scene.opened(2)
    await scene.hear(scene.delta(2), scene.delta(3))
    assert scene.names == ["item.snapshot", "delta"]
    assert not scene.owner.gaps


async def test_a_channel_that_comes_late_is_silent_about_what_was_before(scene: Scene) -> None:
    scene.channel.begin(scene.birth, scene.seq, scene.epoch, None)
    scene.owner.answers = scene.opened(4)
    await scene.hear(scene.delta(4), scene.delta(5))
    assert scene.names == ["item.snapshot", "delta"]
    assert not scene.owner.gaps
    assert scene.channel.position_after(Cursor(scene.seq, scene.birth, scene.epoch, 3)) is None
    assert scene.channel.position_after(Cursor(scene.seq, scene.birth, scene.epoch, 4)) is not None


async def test_a_channel_that_comes_late_but_to_the_first_delta_asks_nobody(scene: Scene) -> None:
    scene.channel.begin(scene.birth, scene.seq, scene.epoch, None)
    await scene.hear(scene.delta(1), scene.delta(2))
    assert scene.names == ["delta", "delta"]
    assert not scene.owner.asked


async def test_a_ring_that_began_later_does_not_continue_an_older_snapshot(scene: Scene) -> None:
    scene.channel.begin(scene.birth, scene.seq, scene.epoch, 4)
    ring = scene.channel.ring
    found = [ring.begins_after(scene.epoch, d) for d in (3, 4, 5)]
    assert found == [True, False, False]
    assert ring.begins_after(scene.epoch - 1, 9)
    assert not ring.begins_after(scene.epoch + 1, 0)


async def test_deltas_must_follow_what_the_snapshot_said(scene: Scene) -> None:
    scene.channel.begin(scene.birth, scene.seq, scene.epoch, 2)
    scene.owner.answers = scene.opened(4)
    await scene.hear(scene.delta(1), scene.delta(2), scene.delta(4))
    assert scene.names == ["gap", "item.snapshot"]
    assert scene.shown()[0].data["from"] == 3


async def test_the_first_delta_of_a_new_epoch_may_not_be_lost_either(scene: Scene) -> None:
    primed(scene).owner.answers = scene.opened(2, epoch=scene.epoch + 1)
    await scene.hear(scene.delta(1), scene.delta(2, epoch=scene.epoch + 1))
    assert scene.names == ["delta", "item.snapshot"]


async def test_an_owner_that_does_not_answer_means_silence_until_it_does(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1), scene.delta(3), scene.delta(4))
    assert scene.names == ["delta", "gap"]
    scene.owner.answers = scene.opened(5)
    await scene.hear(scene.delta(5), scene.delta(6))
    assert scene.names == ["delta", "gap", "item.snapshot", "delta"]


async def test_a_follower_that_nobody_answered_is_told_before_the_next_delta(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1))
    scene.channel.miss()
    scene.owner.answers = scene.opened(2)
    await scene.hear(scene.delta(2), scene.delta(3))
    assert scene.names == ["delta", "item.snapshot", "delta"]
    assert not scene.owner.gaps


async def test_merged_deltas_continue_what_they_follow(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1), scene.delta(4, merged=2), scene.delta(5))
    assert scene.names == ["delta"] * 3
    assert "".join(event.data["text"] for event in scene.shown()) == "".join(WORDS[:5])
    scene.owner.answers = scene.opened(8)
    await scene.hear(scene.delta(8, "?", merged=1))
    assert scene.names[3:] == ["gap", "item.snapshot"]
    assert scene.shown()[3].data == {"epoch": scene.epoch, "from": 6, "to": 6}


@pytest.mark.parametrize("delta_first", [True, False])
async def test_replicas_may_order_a_record_and_a_delta_differently(scene: Scene, delta_first: bool) -> None:
    """Whatever a client has not seen is after its place, though what it has seen may be, too."""
    primed(scene)
    before = scene.seq
    written = await scene.stores.sessions.append(KEY, Position(scene.birth, before), [title("new")])
    messages = [scene.delta(2), Announced(scene.birth, before + 1, written)]
    await scene.hear(scene.delta(1), *(messages if delta_first else messages[::-1]), scene.delta(3))
    for seq, d in [(before, 1), (before, 2), (before + 1, 1), (before + 1, 2)]:
        position = scene.channel.position_after(Cursor(seq, scene.birth, scene.epoch, d))
        assert position is not None
        seen = scene.channel.ring.since(0)[:position]
        assert all(frame.seq <= seq for frame in seen if frame.is_record)
        assert all(frame.d <= d for frame in seen)


async def test_a_record_says_nothing_of_text_that_its_owner_sent_before_it_knew_it(scene: Scene) -> None:
    """Elsewhere the client may have seen the text before the record: the ring alone cannot say."""
    primed(scene)
    written = await scene.stores.sessions.append(KEY, Position(scene.birth, scene.seq), [title("new")])
    place = Cursor(scene.seq + 1, scene.birth)
    assert scene.channel.position_after(Cursor(scene.seq, scene.birth)) is not None
    await scene.hear(Announced(scene.birth, scene.seq + 1, written))
    assert scene.channel.position_after(place) is None
    await scene.hear(scene.delta(1))
    assert scene.channel.position_after(place) is None


async def test_a_delta_that_comes_after_its_record_is_not_shown(scene: Scene) -> None:
    late = scene.delta(2)
    await primed(scene).hear(scene.delta(1))
    entries = await scene.commit(1, "all of it")
    await scene.hear(Announced(scene.birth, entries[-1].seq, tuple(entries)), late)
    assert all(frame.seq < entries[-1].seq for frame in scene.channel.ring.since(0) if frame.d)


async def test_a_cursor_within_merged_deltas_is_not_continued_from_the_ring(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1), scene.delta(4, merged=2))
    for d, known in [(1, True), (2, False), (3, False), (4, True)]:
        position = scene.channel.position_after(Cursor(scene.seq, scene.birth, scene.epoch, d))
        assert (position is not None) == known, d


async def test_a_cursor_between_two_snapshots_is_not_continued_from_the_ring(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1), scene.delta(2))
    cursor = Cursor.parse(f"{scene.birth}.{scene.seq}:{scene.epoch}.2~")
    assert cursor.is_partial
    assert scene.channel.position_after(cursor) is None
    assert scene.channel.position_after(Cursor.parse(f"{scene.birth}.{scene.seq}:{scene.epoch}.2")) is not None


async def test_a_snapshot_does_not_show_what_a_record_has_closed(scene: Scene) -> None:
    before = scene.seq
    await primed(scene).hear(scene.delta(1))
    entries = await scene.commit(1, "all of it")
    await scene.hear(Announced(scene.birth, entries[-1].seq, tuple(entries)))
    scene.owner.answers = scene.opened(3, seq=before)
    await scene.hear(scene.delta(3))
    assert scene.names == ["delta", "message.appended", "gap"]


async def test_records_come_before_the_snapshot_that_was_taken_after_them(scene: Scene) -> None:
    await primed(scene).hear(scene.delta(1))
    late = scene.delta(3)
    entries = await scene.commit(1, "all of it")
    other = OpenText(RunId(RUN), ItemId(f"{RUN}:1:0"), "text", "next")
    scene.owner.answers = OpenItems(scene.birth, entries[-1].seq, scene.epoch, 5, (other,))
    await scene.hear(late)
    assert scene.names == ["delta", "gap", "message.appended", "item.snapshot"]


async def test_a_late_announcement_of_old_records_changes_nothing(scene: Scene) -> None:
    first, second = await scene.commit(1, "a"), await scene.commit(2, "b")
    primed(scene)
    await scene.hear(Announced(scene.birth, first[-1].seq, tuple(first)), Announced(scene.birth, first[-1].seq))
    assert not scene.channel.gone
    assert scene.channel.ring.seq == second[-1].seq


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("bare", [True, False])
async def test_a_log_that_lost_its_end_is_noticed(
    scene: Scene, backend: MemoryBackend, others: int, bare: bool
) -> None:
    primed(scene)
    kept = tuple(await scene.commit(1, "kept"))
    backend.mark()
    lost = tuple(await scene.commit(2, "lost", "too"))
    await scene.hear(Announced(scene.birth, lost[-1].seq, (*kept, *lost)))
    backend.rewind()
    written = await scene.stores.sessions.append(
        KEY, Position(scene.birth, kept[-1].seq), [title(str(i)) for i in range(others)]
    )
    told = () if bare else written
    await scene.hear(Announced(scene.birth, written[-1].seq if written else kept[-1].seq, told))
    assert scene.channel.gone
    assert scene.channel.stands == kept[-1].seq


async def test_where_nothing_that_was_shown_is_left_all_is_replayed(scene: Scene, backend: MemoryBackend) -> None:
    backend.mark()
    lost = tuple(await scene.commit(1, "lost"))
    scene.channel.begin(scene.birth, scene.seq - 1, scene.epoch, 0)
    await scene.hear(Announced(scene.birth, lost[-1].seq, lost))
    backend.rewind()
    await scene.hear(Announced(scene.birth, 1))
    assert scene.channel.stands == 0


async def test_what_is_announced_but_lost_again_is_dropped(scene: Scene) -> None:
    primed(scene)
    scene.seq += 7
    await scene.hear(scene.delta(1), Announced(scene.birth, scene.seq))
    assert not scene.channel.gone
    assert not scene.names


async def test_a_store_that_does_not_answer_ends_the_channel(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(*_: object) -> None:
        raise StoreUnavailable("no store")

    primed(scene)
    monkeypatch.setattr(scene.stores.sessions, "read", read)
    await scene.hear(Announced(scene.birth, scene.seq + 1))
    assert scene.channel.gone
    assert scene.channel.stands is None


async def test_a_gone_channel_takes_nothing(scene: Scene) -> None:
    await primed(scene).hear(Announced(Birth("another"), 1), scene.delta(1))
    assert scene.channel.gone
    assert not scene.names
