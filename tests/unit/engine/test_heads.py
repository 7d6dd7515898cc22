"""Many heads are looked at in portions, and one that cannot be read does not hide the others."""

from collections.abc import Collection

import pytest

from app.core.errors import StoreCorrupt
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.engine import heads
from app.stores.head import Head
from tests.contracts.scenes import key

KEYS = tuple(key(f"s{number}") for number in range(100))


class Shelf:
    """Has all heads but some; a reply with a torn one among them cannot be read."""

    def __init__(self, absent: Collection[SessionKey] = (), torn: Collection[SessionKey] = ()) -> None:
        self.sizes: list[int] = []
        self._absent, self._torn = absent, torn

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        self.sizes.append(len(keys))
        if any(where in self._torn for where in keys):
            raise StoreCorrupt("a stored head cannot be read")
        return {
            where: Head(birth=Birth("b"), created_at=0, updated_at=0) for where in keys if where not in self._absent
        }


async def test_no_reply_has_more_than_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "PORTION", 30)
    shelf = Shelf()
    assert set(await heads.look(shelf, KEYS)) == set(KEYS)
    assert shelf.sizes == [30, 30, 30, 10]


async def test_nothing_is_asked_for_nothing() -> None:
    shelf = Shelf()
    assert await heads.look(shelf, ()) == {}
    assert not shelf.sizes


async def test_a_session_that_is_not_there_is_none() -> None:
    looked = await heads.look(Shelf(absent=KEYS[:1]), KEYS)
    assert looked[KEYS[0]] is None
    assert all(looked[where] is not None for where in KEYS[1:])


@pytest.mark.parametrize("torn", [KEYS[:1], KEYS[41:43], (KEYS[3], KEYS[99])])
async def test_trap_one_torn_head_blinds_the_replica_for_all_sessions(torn: tuple[SessionKey, ...]) -> None:
    """A head that cannot be read is left out, not taken for a deleted session; the others are seen."""
    shelf = Shelf(torn=torn)
    looked = await heads.look(shelf, KEYS)
    assert set(looked) == set(KEYS) - set(torn)
    assert all(looked.values())
    assert len(shelf.sizes) < 40
