"""What may name a tenant, a user, an agent or a session: any text a person can write, within a bound."""

import unicodedata

MAX_NAME = 128
"""Characters of a name."""


def flaw(name: str) -> str | None:
    """Says what keeps the text from being a name, or None: it has 1 to 128 characters, none of them a control."""
    if not 1 <= len(name) <= MAX_NAME:
        return f"a name has 1 to {MAX_NAME} characters"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return "a name has no control characters"
    return None
