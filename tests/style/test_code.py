"""The code keeps the house rules, and each rule finds the sample that breaks it."""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path

import pytest

from tests.style import code
from tests.style.text import files, shown, sources

Rule = Callable[[ast.Module], Iterable[str]]

NINE = "".join(f" def m{number}(self): ...\n" for number in range(9))
undocumented = partial(code.undocumented, ported=frozenset({"run"}))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def ported() -> frozenset[str]:
    """Gives every method that some port of the application documents."""
    return frozenset(m for path in sources("app") for found in code.ports(parsed(path)).values() for m in found)


def findings(paths: Iterable[Path], rule: Rule) -> list[str]:
    return [f"{shown(path)}: {finding}" for path in paths for finding in rule(parsed(path))]


def both() -> Iterator[Path]:
    yield from sources("app")
    yield from sources("tests")


def test_files_are_short() -> None:
    text = {path: path.read_text("utf-8") for place in ("app", "tests", "scripts") for path in files(place)}
    assert [f"{shown(p)}: {f}" for p, t in text.items() if p.suffix != ".yaml" for f in code.too_long(t)] == []
    assert list(code.too_long("x\n" * 401))
    assert not list(code.too_long("x\n" * 400))


def test_modules_are_named_after_something() -> None:
    found = [finding for path in both() for finding in code.forbidden_name(Path(shown(path)).parts)]
    assert found == []
    for bad in ("utils.py", "store_utils.py", "helpers", "common.py", "session_manager.py", "impl.py"):
        assert list(code.forbidden_name(("app", bad)))
    assert not list(code.forbidden_name(("app", "commons_licence.py", "implied.py")))


def test_packages_are_empty() -> None:
    found = [f"{shown(p)}: {f}" for p in both() for f in code.filled_package(p.name, p.read_text("utf-8"))]
    assert found == []
    assert list(code.filled_package("__init__.py", "from app import x\n"))


def test_sql_is_in_sql_files() -> None:
    assert findings(sources("app"), code.embedded_sql) == []


@pytest.mark.parametrize("rule", [code.future_annotations, code.untold_trap])
def test_everywhere(rule: Rule) -> None:
    assert findings(both(), rule) == []


def test_ports_are_small() -> None:
    assert findings(sources("app"), code.wide_port) == []
    assert sum(len(code.ports(parsed(path))) for path in sources("app")) >= 10


def test_what_is_public_is_documented() -> None:
    assert findings(sources("app"), partial(code.undocumented, ported=ported())) == []


def test_functions_are_short() -> None:
    counted = [length for path in sources("app") for length in code.lengths(parsed(path))]
    assert list(code.long_functions(counted)) == []
    assert list(code.long_functions([3, 11, 12]))


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (code.future_annotations, "from __future__ import annotations", "import typing"),
        (code.wide_port, f"class P(Protocol):\n{NINE}", None),
        (code.wide_port, f"class P(Base, typing.Protocol[T]):\n{NINE}", None),
        (code.embedded_sql, "x = 'SELECT 1'", "x = 'select a file'"),
        (code.embedded_sql, "x = '''\n  insert into t values (1)'''", "x = 'Insert text into a file'"),
        (code.embedded_sql, "x = f'UPDATE heads SET {y}'", "x = 'Update the plan'"),
        (code.embedded_sql, "x('delete from t')", "x = 'DELETE /v1/sessions'"),
        (code.embedded_sql, "x = 'CREATE TABLE t (a)'", "x = 'Create a file'"),
        (code.untold_trap, "def test_trap_x(): pass", "def test_x(): pass"),
        (code.untold_trap, "async def test_trap_x():\n 'One. Two.'", "def test_trap_x():\n 'It failed in v1.2 once.'"),
        (undocumented, "class A: pass", "class A:\n 'A.'\n def run(self): pass"),
        (undocumented, "class A:\n 'A.'\n def go(self): pass", "class A:\n 'A.'"),
        (undocumented, "class A(Protocol):\n 'A.'\n def run(self): ...", None),
    ],
)  # fmt: skip
def test_each_rule_finds_what_breaks_it(rule: Rule, bad: str, good: str | None) -> None:
    assert list(rule(ast.parse(bad)))
    assert not list(rule(ast.parse(good or "")))


def test_length_leaves_out_docstrings_and_stubs() -> None:
    tree = ast.parse("def a():\n '''One.\n\n two\n '''\n return 1\nclass P(Protocol):\n def b(self):\n  'B.'\n  ...\n")
    assert code.lengths(tree) == [2]
