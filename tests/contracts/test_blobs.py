"""`Blobs`: large bytes by content, kept for as long as a log names them."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from msgspec.structs import replace

from app.core.errors import BlobNotFound, HeadMoved, LimitReached
from app.core.ids import TenantId, call_id
from app.core.messages import BlobRef, FilePart, ImagePart, Message, Part, TextPart, ToolCallPart, ToolResultPart
from app.core.records import AnyRecord, Busy, InputSteered, MessageAppended, RunQueued, ToolFinished
from app.stores.base import BLOB_GRACE_SECONDS, MAX_BLOB_BYTES, Position
from app.stores.bundle import Stores
from app.testing.clock import START, ManualClock
from tests.contracts.backends import Backend
from tests.contracts.scenes import ask, begin, done, end, item, key, rid, whole

T = TenantId("t")
KEY = key(tenant=T)
BINARY = bytes(range(256))
RUN = rid()


async def put(stores: Stores, data: bytes = b"data", tenant: TenantId = T) -> BlobRef:
    return await stores.blobs.put(tenant, data, "image/png")


async def is_there(stores: Stores, ref: BlobRef, tenant: TenantId = T) -> bool:
    try:
        return bool(await stores.blobs.get(tenant, ref.sha256))
    except BlobNotFound:
        return False


def image(ref: BlobRef) -> ImagePart:
    return ImagePart(blob=ref)


async def say(stores: Stores, *parts: Part) -> None:
    """Appends a run's message with those parts to the session."""
    await stores.sessions.append(KEY, end(await whole(stores, KEY)), [said(*parts)])


def said(*parts: Part) -> MessageAppended:
    message = Message(role="assistant", parts=parts)
    return MessageAppended(at=START, run_id=RUN, item=item(), message=message, seen=0)


@pytest.mark.parametrize("data", [b"", b"\x00\xff", BINARY * 1000])
async def test_the_bytes_come_back(stores: Stores, data: bytes) -> None:
    ref = await put(stores, data)
    assert ref == BlobRef(sha256=sha256(data).hexdigest(), size=len(data), media_type="image/png")
    assert await stores.blobs.get(T, ref.sha256) == data


async def test_an_absent_blob_is_not_found(stores: Stores) -> None:
    with pytest.raises(BlobNotFound):
        await stores.blobs.get(T, "0" * 64)


async def test_the_same_bytes_are_the_same_blob(stores: Stores) -> None:
    first = await put(stores)
    assert (await stores.blobs.put(T, b"data", "text/plain")).sha256 == first.sha256
    assert await stores.blobs.get(T, first.sha256) == b"data"


async def test_tenants_do_not_see_each_other(stores: Stores) -> None:
    ref = await put(stores)
    with pytest.raises(BlobNotFound):
        await stores.blobs.get(TenantId("t2"), ref.sha256)


async def test_blobs_are_bounded(stores: Stores) -> None:
    with pytest.raises(LimitReached):
        await put(stores, bytes(MAX_BLOB_BYTES + 1))


async def test_what_nobody_names_goes_after_its_grace(stores: Stores, clock: ManualClock) -> None:
    ref = await put(stores)
    clock.advance(BLOB_GRACE_SECONDS - 1)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (0, True)
    clock.advance(1)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (1, False)


async def test_a_repeated_put_starts_the_grace_anew(stores: Stores, clock: ManualClock) -> None:
    ref = await put(stores)
    clock.advance(BLOB_GRACE_SECONDS)
    await put(stores)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (0, True)


async def test_it_collects_no_more_than_its_limit(stores: Stores, clock: ManualClock) -> None:
    for number in range(3):
        await put(stores, b"%d" % number)
    clock.advance(BLOB_GRACE_SECONDS)
    assert [await stores.blobs.collect(2) for _ in range(3)] == [2, 1, 0]


def _records(ref: BlobRef) -> Sequence[AnyRecord]:
    call = ToolCallPart(item=item(), call_id=call_id(item()), name="x", arguments="{}", blob=ref)
    result = ToolResultPart(item=item(), call_id=call_id(item()), name="x", text="", blob=ref)
    parts = (TextPart(text=""), FilePart(blob=ref, name="f"))
    return (
        RunQueued(at=START, run_id=rid("r9"), input=(image(ref),)),
        InputSteered(at=START, run_id=RUN, input_id=rid("r8"), input=(image(ref),)),
        said(*parts),
        said(TextPart(text="a", blob=ref)),
        said(call),
        ToolFinished(at=START, run_id=RUN, item=item(), result=result, outcome="ok"),
    )


@pytest.mark.parametrize("index", range(6))
async def test_what_a_record_names_stays_until_its_session_is_deleted(
    stores: Stores, clock: ManualClock, index: int
) -> None:
    ref = await put(stores)
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, end(claimed.log), [_records(ref)[index]])
    clock.advance(10 * BLOB_GRACE_SECONDS)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (0, True)
    await stores.sessions.delete(KEY)
    assert await stores.blobs.collect(10) == 0
    clock.advance(BLOB_GRACE_SECONDS)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (1, False)


async def test_an_input_names_its_blobs_by_itself(stores: Stores, clock: ManualClock, backend: Backend) -> None:
    first, second, third = [await put(stores, data) for data in (b"1", b"2", b"3")]
    await begin(stores, KEY)
    for run, ref, policy in (("r2", first, Busy.STEER), ("r3", second, Busy.ENQUEUE)):
        await stores.sessions.submit(KEY, replace(ask(run, policy=policy), input=(image(ref),)), None)
    assert backend.footprint(KEY).blobs == 2
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 1
    assert [await is_there(stores, ref) for ref in (first, second, third)] == [True, True, False]


async def test_a_commit_names_its_blobs(stores: Stores, clock: ManualClock) -> None:
    ref = await put(stores)
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [said(image(ref)), done()])
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 0


async def test_a_blob_stays_while_one_of_several_sessions_names_it(stores: Stores, clock: ManualClock) -> None:
    ref = await put(stores)
    for session in ("one", "two"):
        twice = [said(image(ref), image(ref)), said(image(ref))]
        await stores.sessions.append(key(session), Position(ask().birth, 0), twice)
    await stores.sessions.delete(key("one"))
    clock.advance(BLOB_GRACE_SECONDS)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (0, True)
    await stores.sessions.delete(key("two"))
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 1


async def test_another_tenants_log_keeps_nothing(stores: Stores, clock: ManualClock) -> None:
    mine, theirs = await put(stores), await put(stores, tenant=TenantId("t2"))
    await begin(stores, KEY)
    await say(stores, image(mine))
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 1
    assert (await is_there(stores, mine), await is_there(stores, theirs, TenantId("t2"))) == (True, False)


async def test_a_log_may_name_a_blob_that_comes_later(stores: Stores, clock: ManualClock) -> None:
    await begin(stores, KEY)
    await say(stores, image(BlobRef(sha256=sha256(b"data").hexdigest(), size=4)))
    ref = await put(stores)
    clock.advance(BLOB_GRACE_SECONDS)
    assert (await stores.blobs.collect(10), await is_there(stores, ref)) == (0, True)


async def test_a_refused_append_names_nothing(stores: Stores, clock: ManualClock, backend: Backend) -> None:
    ref = await put(stores)
    await begin(stores, KEY)
    with pytest.raises(HeadMoved):
        await stores.sessions.append(KEY, Position(ask().birth, 1), [said(image(ref))])
    assert backend.footprint(KEY).blobs == 0
