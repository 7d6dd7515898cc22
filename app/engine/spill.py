"""Large parts go to blobs before they are recorded, and come back before a model reads them."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from app.core.ids import TenantId
from app.core.messages import BlobRef, Message, Part, TextPart, ThinkingPart, ToolCallPart, ToolResultPart
from app.stores.base import Blobs

INLINE_BYTES = 16 * 1024
"""A part of more than this goes to a blob."""
MESSAGE_INLINE_BYTES = 32 * 1024
"""A message's parts together stay below this; what comes after goes to blobs, and a record below its 64 KiB."""
PREVIEW_CHARS = 1000
TEXT = "text/plain; charset=utf-8"
RESULT_CHARS = 24_000
"""What the model sees of one tool result; all of it is in the blob."""


async def spill_parts(parts: Sequence[Part], tenant: TenantId, blobs: Blobs) -> tuple[Part, ...]:
    """Gives the parts fit for a record: every long text is in a blob, with its beginning in place."""
    spilled: list[Part] = []
    inline = 0
    for part in parts:
        size = _size(part)
        inline += size
        large = size > INLINE_BYTES or (inline > MESSAGE_INLINE_BYTES and size > PREVIEW_CHARS)
        spilled.append(await _spill(part, tenant, blobs) if large else part)
        inline -= size if large else 0
    return tuple(spilled)


async def fill_messages(messages: Sequence[Message], tenant: TenantId, blobs: Blobs) -> tuple[Message, ...]:
    """Gives the messages with whole texts in place of previews; tool results keep the view they were given."""
    return tuple([await _fill_message(message, tenant, blobs) for message in messages])


async def bound_result(result: ToolResultPart, tenant: TenantId, blobs: Blobs) -> ToolResultPart:
    """Gives the result as the model will see it: the beginning and the end of a long one, with all of it in a blob."""
    text = result.text
    if len(text) <= RESULT_CHARS and _bytes(text) <= MESSAGE_INLINE_BYTES:
        return result
    blob = await blobs.put(tenant, text.encode(errors="replace"), TEXT)
    half = RESULT_CHARS // 2
    while _bytes(text[:half]) + _bytes(text[-half:]) > MESSAGE_INLINE_BYTES:
        half //= 2
    left_out = len(text) - 2 * half
    view = f"{text[:half]}\n[… {left_out} of {len(text)} characters left out: ask for less at a time …]\n{text[-half:]}"
    return replace(result, text=view, blob=blob)


async def _fill_message(message: Message, tenant: TenantId, blobs: Blobs) -> Message:
    if all(getattr(part, "blob", None) is None or isinstance(part, ToolResultPart) for part in message.parts):
        return message
    return replace(message, parts=tuple([await _fill(part, tenant, blobs) for part in message.parts]))


async def _fill(part: Part, tenant: TenantId, blobs: Blobs) -> Part:
    match part:
        case TextPart(blob=BlobRef() as blob) | ThinkingPart(blob=BlobRef() as blob):
            return replace(part, text=(await blobs.get(tenant, blob.sha256)).decode(), blob=None)
        case ToolCallPart(blob=BlobRef() as blob):
            return replace(part, arguments=(await blobs.get(tenant, blob.sha256)).decode(), blob=None)
        case _:
            return part


async def fill_arguments(arguments: str, blob: BlobRef | None, tenant: TenantId, blobs: Blobs) -> str:
    """Gives a call's whole arguments."""
    return arguments if blob is None else (await blobs.get(tenant, blob.sha256)).decode()


async def _spill(part: Part, tenant: TenantId, blobs: Blobs) -> Part:
    match part:
        case TextPart(text=text) | ThinkingPart(text=text):
            blob = await blobs.put(tenant, text.encode(), TEXT)
            return replace(part, text=text[:PREVIEW_CHARS], blob=blob)
        case ToolCallPart(arguments=arguments):
            blob = await blobs.put(tenant, arguments.encode(), "application/json")
            return replace(part, arguments="{}", blob=blob)
        case _:
            return part


def _size(part: Part) -> int:
    match part:
        case TextPart(text=text) | ThinkingPart(text=text):
            return _bytes(text)
        case ToolCallPart(arguments=arguments):
            return _bytes(arguments)
        case _:
            return 0


def _bytes(text: str) -> int:
    """Gives what the text takes in a record, escapes included."""
    return len(msgspec.json.encode(text))
