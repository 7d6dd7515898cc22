"""`KeyValue`: small values, versions that rise for ever, pages by key."""

import asyncio

import pytest

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.base import Value
from app.stores.bundle import Stores
from app.testing.clock import ManualClock
from tests.contracts.backends import Backend

T = TenantId("t")
ODD = ["", "%", "a%b", "a_b", "a*", "[a]", "A", "a", "a\x00b", "a/b", "a\\", "é", "\ud7ff", "\uffff", "\U0001f600"]
"""Keys that some pattern language would read as more than text, in no order."""


async def keys(stores: Stores, prefix: str = "", cursor: str = "", limit: int = 100, tenant: TenantId = T) -> list[str]:
    return [key for key, _ in await stores.keyvalue.search(tenant, prefix, cursor, limit)]


async def test_an_absent_key_is_none(stores: Stores) -> None:
    assert await stores.keyvalue.get(T, "k") is None


async def test_what_was_put_is_got_with_its_version(stores: Stores) -> None:
    version = await stores.keyvalue.put(T, "k", b"one")
    assert await stores.keyvalue.get(T, "k") == Value(version, b"one")


async def test_every_put_has_a_higher_version(stores: Stores) -> None:
    versions = [await stores.keyvalue.put(T, key, b"") for key in "aabba"]
    assert versions == sorted(set(versions))
    assert versions[0] > 0


async def test_a_value_is_put_over_the_version_that_was_read(stores: Stores) -> None:
    first = await stores.keyvalue.put_if_version(T, "k", b"one", 0)
    second = await stores.keyvalue.put_if_version(T, "k", b"two", first)
    assert second > first
    assert await stores.keyvalue.get(T, "k") == Value(second, b"two")


@pytest.mark.parametrize("off", [-1, 1, 2**100])
async def test_over_another_version_nothing_is_put(stores: Stores, off: int) -> None:
    version = await stores.keyvalue.put(T, "k", b"one")
    for wrong in (version + off, 0):
        with pytest.raises(HeadMoved):
            await stores.keyvalue.put_if_version(T, "k", b"two", wrong)
    assert await stores.keyvalue.get(T, "k") == Value(version, b"one")


async def test_an_absent_key_is_at_version_zero_only(stores: Stores) -> None:
    with pytest.raises(HeadMoved):
        await stores.keyvalue.put_if_version(T, "k", b"", 1)
    assert await stores.keyvalue.get(T, "k") is None


async def test_of_two_at_once_one_is_put(stores: Stores) -> None:
    both = (stores.keyvalue.put_if_version(T, "k", data, 0) for data in (b"one", b"two"))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(HeadMoved) == 1


async def test_a_deleted_key_is_absent(stores: Stores) -> None:
    await stores.keyvalue.put(T, "k", b"one")
    assert await stores.keyvalue.delete(T, "k")
    assert await stores.keyvalue.get(T, "k") is None
    assert await keys(stores) == []
    assert not await stores.keyvalue.delete(T, "k")


async def test_tenants_do_not_see_each_other(stores: Stores) -> None:
    other = TenantId("t2")
    await stores.keyvalue.put(T, "k", b"mine")
    assert await stores.keyvalue.get(other, "k") is None
    assert not await stores.keyvalue.delete(other, "k")
    assert await keys(stores, tenant=other) == []
    await stores.keyvalue.put_if_version(other, "k", b"theirs", 0)
    assert (await stores.keyvalue.get(T, "k") or Value(0, b"")).data == b"mine"


async def test_keys_come_in_the_order_of_their_code_points(stores: Stores) -> None:
    for key in ODD:
        await stores.keyvalue.put(T, key, b"")
    assert await keys(stores) == sorted(set(ODD) - {""})
    assert [version for _, version in await stores.keyvalue.search(T, "é", "", 1)] == [
        (await stores.keyvalue.get(T, "é") or Value(0, b"")).version
    ]


async def test_pages_follow_each_other(stores: Stores) -> None:
    for key in ("a/1", "a/2", "a/3", "b/1"):
        await stores.keyvalue.put(T, key, b"")
    assert await keys(stores, "a/", "", 2) == ["a/1", "a/2"]
    assert await keys(stores, "a/", "a/2", 2) == ["a/3"]
    assert await keys(stores, "a/", "a/3", 2) == []
    assert await keys(stores, "a/", "z") == []
    assert await keys(stores, "", "", 0) == []


async def test_trap_offset_paging_under_writes(stores: Stores) -> None:
    """Pages of keys that come and go while they are read neither repeat nor skip those that stay."""
    for key in "bdfh":
        await stores.keyvalue.put(T, key, b"")
    first = await keys(stores, limit=2)
    await stores.keyvalue.put(T, "a", b"")
    await stores.keyvalue.delete(T, "b")
    await stores.keyvalue.put(T, "e", b"")
    assert first + await keys(stores, cursor=first[-1]) == ["b", "d", "e", "f", "h"]


async def test_versions_rise_across_a_restart(backend: Backend, clock: ManualClock) -> None:
    async with backend.open(clock) as stores:
        version = await stores.keyvalue.put(T, "k", b"one")
        await stores.keyvalue.delete(T, "k")
    async with backend.open(clock) as stores:
        assert await stores.keyvalue.put(T, "k", b"two") > version


async def test_trap_delete_reset_the_version(stores: Stores) -> None:
    """A delete set the version back to one, and a stale compare-and-set won."""
    stale = await stores.keyvalue.put_if_version(T, "k", b"old", 0)
    await stores.keyvalue.delete(T, "k")
    assert await stores.keyvalue.put_if_version(T, "k", b"new", 0) > stale
    with pytest.raises(HeadMoved):
        await stores.keyvalue.put_if_version(T, "k", b"from the past", stale)


async def test_trap_listed_by_prefix_in_one_backend_exactly_in_another(stores: Stores) -> None:
    """The same call listed by prefix in one backend, by pattern or exact name in another."""
    for key in ODD:
        await stores.keyvalue.put(T, key, b"")
    for prefix in ODD:
        assert await keys(stores, prefix) == sorted({key for key in ODD if key.startswith(prefix)} - {""})


async def test_trap_binary_files_decoded_as_utf8(stores: Stores) -> None:
    """Binary files came back damaged, because they were stored as text."""
    for data in (bytes(range(256)), b"", b"\x00", b"\xff\xfe", b"\r\n", b"'\";--", b"\xed\xa0\x80"):
        await stores.keyvalue.put(T, "k", data)
        assert (await stores.keyvalue.get(T, "k") or Value(0, b"?")).data == data
