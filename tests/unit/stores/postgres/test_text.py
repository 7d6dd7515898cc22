"""Any text can be stored, and sorts in the database as it does here."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.stores.postgres import text

texts = st.text(st.sampled_from("\x00\x01\x02ab\x7fé\U0001f600"), max_size=8)


@given(texts)
@settings(max_examples=300)
def test_what_is_stored_comes_back_and_holds_no_nul(written: str) -> None:
    assert text.given(text.stored(written)) == written
    assert "\x00" not in text.stored(written)


@given(texts, texts)
@settings(max_examples=300)
def test_the_order_stays(one: str, other: str) -> None:
    assert (one < other) == (text.stored(one) < text.stored(other))


def test_plain_text_is_stored_as_it_is() -> None:
    assert text.stored("plain, é") == "plain, é"
