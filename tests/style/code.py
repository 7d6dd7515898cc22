"""The house rules for code that no linter knows: each takes a parsed file and gives what is wrong with it."""

import ast
import re
from collections.abc import Iterator
from statistics import median

MAX_LINES = 400
MAX_METHODS = 8
MAX_MEDIAN = 10
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "impl", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef

_SQL = re.compile(
    r"\s*(SELECT\s+\S|WITH\s+\w+\s+AS\b|(?i:"
    r"INSERT\s+(OR\s+\w+\s+)?INTO\s|REPLACE\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|"
    r"(CREATE|ALTER|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW|TRIGGER)\s))"
)
_SENTENCE_END = re.compile(r"[.!?](\s|$)")


def too_long(text: str) -> Iterator[str]:
    """Finds a file of more than 400 lines."""
    if (lines := text.count("\n")) > MAX_LINES:
        yield f"{lines} lines; split it"


def forbidden_name(parts: tuple[str, ...]) -> Iterator[str]:
    """Finds a module or package that is named after nothing."""
    for part in parts:
        if FORBIDDEN_NAMES & set(part.removesuffix(".py").lower().split("_")):
            yield f"{part} says nothing; name it after what it is"


def filled_package(name: str, text: str) -> Iterator[str]:
    """Finds an `__init__.py` that is not empty."""
    if name == "__init__.py" and text.strip():
        yield "a package's __init__.py is empty"


def future_annotations(tree: ast.Module) -> Iterator[str]:
    """Finds `from __future__ import annotations`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            yield f"line {node.lineno}: nothing of __future__ is needed"


def ports(tree: ast.Module) -> dict[str, list[str]]:
    """Gives the Protocols of a module with their public methods."""
    return {node.name: [method.name for method in methods(node)] for node in _classes(tree) if _is_protocol(node)}


def wide_port(tree: ast.Module) -> Iterator[str]:
    """Finds a port of more than 8 methods."""
    for name, found in ports(tree).items():
        if len(found) > MAX_METHODS:
            yield f"{name} has {len(found)} methods; {MAX_METHODS} are the limit"


def undocumented(tree: ast.Module, ported: frozenset[str]) -> Iterator[str]:
    """Finds a public class without a docstring, and a public method without one that no port documents."""
    for node in _classes(tree):
        if node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield f"{node.name} has no docstring"
        for method in methods(node):
            bare = ast.get_docstring(method) is None
            if bare and (_is_protocol(node) or method.name not in ported):
                yield f"{node.name}.{method.name} has no docstring, and no port gives it one"


def embedded_sql(tree: ast.Module) -> Iterator[str]:
    """Finds SQL in Python; it belongs in a `.sql` file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
            yield f"line {node.lineno}: {node.value.strip()[:40]!r} belongs in a .sql file"


def untold_trap(tree: ast.Module) -> Iterator[str]:
    """Finds a `test_trap_…` whose docstring is not one sentence."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_trap_"):
            told = ast.get_docstring(node) or ""
            if not told.endswith(".") or len(_SENTENCE_END.findall(told)) != 1:
                yield f"{node.name} tells its trap in one sentence"


def methods(node: ast.ClassDef) -> list[Function]:
    """Gives a class's public methods."""
    return [item for item in node.body if isinstance(item, Function) and not item.name.startswith("_")]


def lengths(tree: ast.Module) -> list[int]:
    """Gives how many lines each function has, docstring and the stubs of ports aside."""
    found = [node for node in ast.walk(tree) if isinstance(node, Function)]
    return [_length(node) for node in found if not _is_stub(node)]


def long_functions(counted: list[int]) -> Iterator[str]:
    """Finds a median above 10 lines."""
    if counted and median(counted) > MAX_MEDIAN:
        yield f"the median function has {median(counted)} lines; {MAX_MEDIAN} are the limit"


def _length(node: Function) -> int:
    first = node.body[0]
    told = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if told else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def _is_stub(node: Function) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant)


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].split(".")[-1] == "Protocol" for base in node.bases)
