"""The bodies we send, checked by the types of OpenAI's own package."""

import json
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from app.core.errors import ModelError
from app.core.ids import CallId, ItemId
from app.core.messages import (
    BlobRef,
    CitationPart,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from app.llm.base import ModelRequest
from app.llm.openai_wire import encode_request
from tests.unit.llm.requests import ask, assistant, call, result, results, tool, user

OFFICIAL: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)
BLOB = BlobRef(sha256="0" * 64, size=1)


def reread(body: Any) -> Any:
    """Gives the body as OpenAI's types keep it. Writing it out validates every item of its lazily read lists."""
    return json.loads(OFFICIAL.dump_json(OFFICIAL.validate_python(body, strict=True), warnings="error"))


def sent(request: ModelRequest) -> Any:
    """Gives the body as a provider reads it, after OpenAI's types have accepted it and kept every field."""
    body = json.loads(encode_request(request))
    assert reread(body) == body
    return body


WRONG: list[dict[str, Any]] = [
    {"messages": [{"role": "tool", "content": ""}]},
    {"messages": [{"role": "user", "content": 3}]},
    {"messages": [], "stream": "true"},
    {"messages": [], "tools": [{"type": "function", "function": {}}]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_the_check_can_fail(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tool_call_id|content|stream|name"):
        reread({"model": "m", "stream": True} | wrong)


def test_a_first_question() -> None:
    assert sent(ask(user("hello"))) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_conversation_with_calls() -> None:
    body = sent(
        ask(
            user("look"),
            assistant("I will.", call("c1", "read", '{"path":"ä"}'), call("c2", "grep", "{}")),
            results(result("c1", "read", "text"), result("c2", "grep", "no", is_error=True)),
            assistant("", call("c3", "read", '{"path": "b"}')),
            results(result("c3", "read", "")),
            assistant("Done."),
            system="",
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": "I will.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"ä"}'}},
                {"id": "c2", "type": "function", "function": {"name": "grep", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "text"},
        {"role": "tool", "tool_call_id": "c2", "content": "no"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c3", "type": "function", "function": {"name": "read", "arguments": '{"path": "b"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c3", "content": ""},
        {"role": "assistant", "content": "Done."},
    ]


def test_tools_and_the_limit_of_tokens_are_passed_on() -> None:
    body = sent(ask(tools=["read"], max_tokens=99))
    assert body["max_tokens"] == 99
    spec = tool("read")
    function = {"name": "read", "description": "Does read.", "parameters": spec.parameters}
    assert body["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    "arguments", ['{"path": "a', "", "nonsense", "[1]", '"text"', "null", '{"a": NaN}', "{'a': 1}"]
)
def test_broken_arguments_do_not_spoil_the_history(arguments: str) -> None:
    body = sent(ask(user("x"), assistant("", call("c1", "read", arguments)), results(result("c1", "read", "bad JSON"))))
    assert body["messages"][2]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    "parts",
    [(), (TextPart(text=""),), (ThinkingPart(text="hm"),), (OpaquePart(provider="other", data={"x": 1}),)],
    ids=["nothing", "no text", "only thoughts", "only another provider's"],
)
def test_an_assistant_message_with_nothing_to_say_is_left_out(parts: tuple[Part, ...]) -> None:
    body = sent(ask(user("a"), Message(role="assistant", parts=parts), user("b")))
    assert [message["role"] for message in body["messages"]] == ["system", "user", "user"]


def test_only_text_and_calls_of_an_answer_are_sent() -> None:
    made = ToolCallPart(item=ItemId("i"), call_id=CallId("c"), name="read", arguments="{}")
    parts = (
        ThinkingPart(text="hm"),
        TextPart(text="one "),
        CitationPart(text="t", source="s"),
        made,
        TextPart(text="two"),
    )
    body = sent(ask(user("a"), Message(role="assistant", parts=parts, incomplete=True)))
    answer = body["messages"][-1]
    assert answer["content"] == "one two"
    assert [made["id"] for made in answer["tool_calls"]] == ["c"]


@pytest.mark.parametrize("part", [ImagePart(blob=BLOB), FilePart(blob=BLOB, name="a.pdf")])
def test_pictures_and_files_are_refused_in_plain_words(part: Part) -> None:
    message = Message(role="user", parts=(TextPart(text="look"), part))
    with pytest.raises(ModelError, match="not supported yet") as caught:
        encode_request(ask(message))
    assert not caught.value.retryable
