"""The toolbox, and what the model is told of each tool."""

from typing import Any

import jsonschema
import pytest

from app.core.records import Effect
from app.tools.files import ReadFile
from app.tools.toolbox import Toolbox, builtin_tools

EFFECTS = {
    "read_file": Effect.PURE,
    "write_file": Effect.KEYED,
    "edit_file": Effect.KEYED,
    "list_files": Effect.PURE,
    "glob_files": Effect.PURE,
    "grep_files": Effect.PURE,
    "todo_write": Effect.PURE,
}


def test_tools_are_found_by_name_in_a_fixed_order() -> None:
    box = Toolbox(builtin_tools())
    assert box.names == tuple(EFFECTS)
    assert [spec.name for spec in box.specs(None)] == list(EFFECTS)
    assert [spec.name for spec in box.specs(("write_file", "nope", "read_file"))] == ["read_file", "write_file"]
    assert box.specs(()) == ()
    tool = box.get("read_file")
    assert tool is not None
    assert tool.spec.name == "read_file"
    assert box.get("nope") is None


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two tools are called read_file"):
        Toolbox([ReadFile(), ReadFile()])


def test_effects_are_declared() -> None:
    assert {tool.spec.name: tool.spec.effect for tool in builtin_tools()} == EFFECTS


@pytest.mark.parametrize("tool", builtin_tools(), ids=lambda tool: tool.spec.name)
def test_every_argument_is_described_and_bounded(tool: Any) -> None:
    schema = tool.spec.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert tool.spec.description
    for name, argument in schema["properties"].items():
        assert argument.get("description"), name
        if argument.get("type") == "integer":
            assert "minimum" in argument, name
