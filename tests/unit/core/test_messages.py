"""Messages and usage."""

from app.core.ids import CallId, ItemId
from app.core.messages import Message, TextPart, ThinkingPart, ToolCallPart, Usage


def test_a_message_gives_its_text_and_its_calls_in_order() -> None:
    first, second = (
        ToolCallPart(item=ItemId(f"run:0:{i}"), call_id=CallId(f"call_{i}"), name="read_file", arguments="{}")
        for i in (1, 2)
    )
    parts = (ThinkingPart(text="hm"), TextPart(text="Let me "), first, TextPart(text="look."), second)
    message = Message(role="assistant", parts=parts)
    assert message.text() == "Let me look."
    assert message.calls() == (first, second)


def test_usage_adds_up_in_every_field() -> None:
    one = Usage(input_tokens=1, output_tokens=2, cached_tokens=3, model_calls=4, tool_calls=5)
    assert one + one == Usage(input_tokens=2, output_tokens=4, cached_tokens=6, model_calls=8, tool_calls=10)
    assert one + Usage() == one
    assert one.tokens() == 3
