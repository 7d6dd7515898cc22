"""Files that people write: YAML text to typed values, and errors that name the file, the line and the key."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import yaml

from app.core.errors import ConfigError

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*?)`")


class Document:
    """One parsed file. It remembers where everything stood."""

    def __init__(self, text: str, source: str) -> None:
        """Parses the text; raises ConfigError with the line that is not legal YAML, or that says a key twice."""
        self.source = source
        try:
            loader = _Loader(text)
            self._value: Any = loader.get_single_data()
            self._root = loader.root
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{source}:{line}: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{source}:1: {' '.join(str(error).split())}") from error

    @property
    def empty(self) -> bool:
        """Says whether the file holds nothing but comments."""
        return self._root is None

    def convert(self, kind: type[T]) -> T:
        """Gives the file's value, typed. Raises ConfigError that names the line and the key that do not fit."""
        try:
            return msgspec.convert(self._value, kind)
        except msgspec.ValidationError as error:
            reason = str(error)
            place = _PLACE.search(reason)
            path = _steps(place["path"]) if place else []
            unknown = _UNKNOWN.search(reason)
            raise self.fault(_PLACE.sub("", reason), *path, *([unknown["name"]] if unknown else [])) from error

    def fault(self, reason: str, *path: str | int) -> ConfigError:
        """Gives the error to raise about what stands at that path of keys and positions."""
        where = ".".join(str(step) for step in path)
        return ConfigError(f"{self.source}:{self._line(path)}: {where + ': ' if where else ''}{reason}")

    def _line(self, path: Sequence[str | int]) -> int:
        node, line = self._root, 1
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            line, node = child
        return line


class _Loader(yaml.SafeLoader):
    """Plain YAML, where a key that is there twice is a mistake rather than the last one's win."""

    root: yaml.Node | None = None

    def get_single_node(self) -> yaml.Node | None:
        self.root = super().get_single_node()
        return self.root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in _STEP.findall(path)]


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Gives the line and the node that the step leads to."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    return None
