"""Session keys have one spelling each, whatever their parts contain."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.core.ids import AgentId, RunId, SessionId, TenantId, UserId
from app.core.keys import (
    DIGEST_CHARS,
    SessionKey,
    check_run_id,
    derived_session_id,
    new_run_id,
    partition_of_run,
)
from app.testing.ids import SequentialIds

parts = st.text(st.sampled_from("ab/%_: é\n"), max_size=4)
keys = st.builds(SessionKey, parts.map(TenantId), parts.map(UserId), parts.map(AgentId), parts.map(SessionId))


@given(keys)
def test_a_key_comes_back_from_its_text(key: SessionKey) -> None:
    assert SessionKey.decode(key.encode()) == key


@given(keys, keys)
def test_no_two_keys_share_a_spelling_or_a_digest(one: SessionKey, other: SessionKey) -> None:
    assume(one != other)
    assert one.encode() != other.encode()
    assert one.digest() != other.digest()


def test_a_slash_in_a_part_does_not_move_the_border() -> None:
    one = SessionKey(TenantId("a/b"), UserId("c"), AgentId("d"), SessionId("e"))
    other = SessionKey(TenantId("a"), UserId("b/c"), AgentId("d"), SessionId("e"))
    assert one.encode() == "a%2Fb/c/d/e"
    assert one.encode() != other.encode()


@pytest.mark.parametrize("text", ["", "a/b/c", "a/b/c/d/e", "a/b/c/%ff"])
def test_what_encode_cannot_have_made_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        SessionKey.decode(text)


def test_a_run_id_names_its_session() -> None:
    key = SessionKey(TenantId("a"), UserId("b"), AgentId("c"), SessionId("d"))
    assert new_run_id(key, SequentialIds()) == f"run_{key.digest()[:DIGEST_CHARS]}_t1"


@given(keys, keys)
def test_a_run_id_is_checked_against_its_session(one: SessionKey, other: SessionKey) -> None:
    assume(one != other)
    run = new_run_id(one, SequentialIds())
    check_run_id(one, run)
    with pytest.raises(InvalidInput, match="another session"):
        check_run_id(other, run)
    assert partition_of_run(run) == one.partition()


@pytest.mark.parametrize(
    "text", ["", "run", "run_", "run_0123456789abcdef_", "run_0123456789ABCDEF_a", "x_0123456789abcdef_a"]
)
def test_an_id_that_names_no_session_has_no_partition(text: str) -> None:
    assert partition_of_run(RunId(text)) is None


def test_a_repeated_request_that_names_no_session_finds_the_same_one() -> None:
    tenant, user = TenantId("a"), UserId("b")
    derived = derived_session_id(tenant, user, "key")
    assert derived == derived_session_id(tenant, user, "key")
    others = {derived_session_id(tenant, user, "other"), derived_session_id(TenantId("a/b"), UserId(""), "key")}
    assert derived not in others
    assert len(derived) == len("ses_") + 24
