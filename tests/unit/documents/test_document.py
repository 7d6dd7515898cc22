"""Errors in files that people write name the file, the line and the key."""

from typing import Any

import pytest
from msgspec import Struct

from app.core.documents import Document
from app.core.errors import ConfigError


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    steps: int = 1


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inner: Inner = Inner()
    tags: tuple[str, ...] = ()


def test_gives_typed_values() -> None:
    document = Document("name: a\ninner:\n  steps: 3\ntags: [x, y]\n", "f.yaml")
    assert document.convert(Outer) == Outer("a", Inner(3), ("x", "y"))
    assert not document.empty


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\n\n"])
def test_a_file_of_comments_is_empty(text: str) -> None:
    assert Document(text, "f.yaml").empty


@pytest.mark.parametrize(
    ("text", "kind", "start"),
    [
        ("name: a\ninner:\n  steps: many\n", Outer, "f.yaml:3: inner.steps: Expected `int`"),
        ("name: a\ninner:\n  stepz: 1\n", Outer, "f.yaml:3: inner.stepz: Object contains unknown field `stepz`"),
        ("name: a\ntags:\n- x\n- 7\n", Outer, "f.yaml:4: tags.1: Expected `str`"),
        ("- name: a\n- tags: []\n", list[Outer], "f.yaml:2: 1: Object missing required field `name`"),
        ("just words\n", Outer, "f.yaml:1: Expected `object`"),
    ],
)
def test_a_value_that_does_not_fit_is_named(text: str, kind: Any, start: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Document(text, "f.yaml").convert(kind)
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: 1\nb: [1\nc: 2\n", "f.yaml:3: "),
        ("a: 1\n\tb: 2\n", "f.yaml:2: "),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a is there twice"),
        ("a: !!python/object/apply:os.getcwd []\n", "f.yaml:1: "),
        ("a: \x00\n", "f.yaml:1: "),
        ("--- 1\n--- 2\n", "f.yaml:2: "),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, start: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Document(text, "f.yaml")
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)
