"""The bodies of requests: strict, bounded, and nothing in them but what is meant to be there."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from app.api.schemas.ids import AgentName, SessionName
from app.core.ids import AgentId, SessionId
from app.core.messages import TextPart
from app.core.records import Busy
from app.engine.views import Invocation

MAX_PARTS = 64
MAX_METADATA_BYTES = 8 * 1024
MAX_TEXT = 1024 * 1024
"""Of one text; the whole body is bounded by the server's setting."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


def check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Gives the metadata back. Raises ValueError if it is more than 8 KiB."""
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > MAX_METADATA_BYTES:
        raise ValueError(f"metadata cannot be more than {MAX_METADATA_BYTES} bytes")
    return metadata


Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16, description="Up to 16 texts of up to 512 characters, 8 KiB in all."),
    AfterValidator(check_metadata),
]


class Strict(BaseModel):
    """A value without surprises: no unknown fields, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextInput(Strict):
    """Text. It is the only kind of part that an input may have as yet."""

    type: Literal["text"]
    text: Text


def _kind_of_input(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    return "parts" if isinstance(value, list) else None


Input = Annotated[
    Annotated[Text, Tag("text")] | Annotated[list[TextInput], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(
        _kind_of_input,
        custom_error_type="input_type",
        custom_error_message="Input should be a text or a list of parts",
    ),
]


class RunRequest(Strict):
    """An input for an agent, and how to answer it."""

    input: Input
    stream: bool = Field(default=True, description="Answer with SSE; else with the result, as JSON, once it is there.")
    background: bool = Field(default=False, description="Answer 202 at once, whatever `stream` says.")
    on_busy: Annotated[Busy, Field(strict=False, description="What to do if a run is active.")] = Busy.ENQUEUE
    metadata: Metadata = {}

    def invocation(self, agent: AgentId, session: SessionId | None, idempotency_key: str | None) -> Invocation:
        """Gives the request in the engine's words."""
        texts = [self.input] if isinstance(self.input, str) else [part.text for part in self.input]
        return Invocation(
            agent=agent,
            input=tuple(TextPart(text=text) for text in texts),
            session=session,
            policy=self.on_busy,
            metadata=dict(self.metadata),
            idempotency_key=idempotency_key,
        )


class ChatRequest(RunRequest):
    """An input for an agent; a session is made unless one is named."""

    agent: AgentName = AgentId("assistant")
    session_id: SessionName | None = None


class SessionRequest(Strict):
    """A session to be. Without an id it gets one."""

    session_id: SessionName | None = None
    title: Annotated[str, StringConstraints(max_length=200)] = ""
    metadata: Metadata = {}
