"""Any way to cut bytes into reads."""

from itertools import pairwise

from hypothesis import strategies as st


def chop(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Gives the data in pieces, none of them empty."""
    cuts = st.sets(st.integers(1, len(data) - 1), max_size=min(60, len(data) - 1))
    return cuts.map(lambda places: [data[a:b] for a, b in pairwise([0, *sorted(places), len(data)])])
