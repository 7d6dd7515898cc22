"""What a path means, which ones are refused, and that no two sessions share a directory."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import ToolError
from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.workspace.paths import MAX_DEPTH, MAX_NAME_BYTES, directories, is_legal_name, parse_path, shown


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ()),
        (".", ()),
        ("/workspace", ()),
        ("/workspace/", ()),
        ("/workspace//", ()),
        ("a", ("a",)),
        ("./a//b/./c/", ("a", "b", "c")),
        ("/workspace/a/b", ("a", "b")),
        ("workspace/a", ("workspace", "a")),
        ("a\\..\\b", ("a\\..\\b",)),
        ("...", ("...",)),
        ("\uff0e\uff0e/x", ("\uff0e\uff0e", "x")),
        ("..\u2215x", ("..\u2215x",)),
        ("\u202e..", ("\u202e..",)),
        (" .. ", (" .. ",)),
        ("~", ("~",)),
        (unicodedata.normalize("NFD", "é"), ("e\u0301",)),
        ("x" * MAX_NAME_BYTES, ("x" * MAX_NAME_BYTES,)),
        ("a/" * MAX_DEPTH, ("a",) * MAX_DEPTH),
    ],
)
def test_legal_paths(path: str, names: tuple[str, ...]) -> None:
    assert parse_path(path) == names


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "outside the workspace; write a relative path"),
        ("/workspace-evil/x", "outside the workspace"),
        ("/workspacex", "outside the workspace"),
        ("//workspace/x", "outside the workspace"),
        ("/", "outside the workspace"),
        ("..", "'..' is not allowed"),
        ("a/../b", "'..' is not allowed"),
        ("/workspace/../etc", "'..' is not allowed"),
        ("a\0b", "control characters"),
        ("a\nb", "control characters"),
        ("\x85", "control characters"),
        ("\ud800", "lone surrogates"),
        ("x" * (MAX_NAME_BYTES + 1), "at most 255 bytes"),
        ("é" * 128, "at most 255 bytes"),
        ("a/" * MAX_DEPTH + "a", "more than 64 names deep"),
        (".baton-tmp-0", "reserved"),
    ],
)
def test_refused_paths(path: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        parse_path(path)


def test_what_is_shown_is_bounded_and_printable() -> None:
    assert shown("a b") == "'a b'"
    assert shown("\0\u202e\ud800") == r"'\x00\u202e\ud800'"
    assert len(shown("x" * 10_000_000)) < 300


@given(st.text() | st.text("./a\\\0\u00b7\uff0e"))
def test_no_name_of_any_path_is_dangerous(path: str) -> None:
    try:
        names = parse_path(path)
    except ToolError as error:
        names, message = (), str(error)
    else:
        message = ""
    assert message.isprintable()
    for name in names:
        assert is_legal_name(name)
        assert name not in {"", ".", ".."}
        assert not set(name) & {"/", "\0"}
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES


PARTS = (
    st.text(st.characters())
    | st.text("./%~2Ea")
    | st.text("a", min_size=250, max_size=400)
    | st.text("é%", min_size=60)
)
KEYS = st.builds(SessionKey, *(PARTS.map(kind) for kind in (TenantId, UserId, AgentId, SessionId)))


@given(KEYS, KEYS)
def test_different_keys_have_different_directories(one: SessionKey, other: SessionKey) -> None:
    assert (directories(one) == directories(other)) == (one == other)


@given(PARTS, PARTS)
def test_different_parts_have_different_names(one: str, other: str) -> None:
    names = [
        directories(SessionKey(TenantId("t"), UserId("u"), AgentId("a"), SessionId(part)))[3] for part in (one, other)
    ]
    assert (names[0] == names[1]) == (one == other)


@given(KEYS)
def test_directories_are_safe_file_names(key: SessionKey) -> None:
    for name in directories(key):
        assert name not in {"", ".", ".."}
        assert "/" not in name
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= MAX_NAME_BYTES


def test_hard_parts_have_readable_names() -> None:
    key = SessionKey(TenantId(""), UserId(".."), AgentId("a/b"), SessionId("x" * 300))
    tenant, user, agent, session = directories(key)
    assert (tenant, user, agent) == ("%", "%2E%2E", "a%2Fb")
    assert session.startswith("x" * 180 + "%~")
