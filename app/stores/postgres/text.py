"""Text in columns: Postgres stores any but U+0000, which is therefore spelled with two other characters.

U+0001 stands before what it spells: itself as U+0001 U+0002, U+0000 as U+0001 U+0001. Two texts so spelled differ as
they did before, and sort as they did.
"""


def stored(text: str) -> str:
    """Gives the text as a column holds it."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def given(text: str) -> str:
    """Undoes `stored`."""
    return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01") if "\x01" in text else text
