"""Large parts go to blobs before they are recorded, and come back before a model reads them."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from app.core.ids import TenantId
from app.core.messages import BlobRef, Message, Part, TextPart, ThinkingPart, ToolCallPart, ToolResultPart
from app.stores.base import Blobs

INLINE_BYTES = 16 * 1024
"""A part of more than this goes to a blob."""
MESSAGE_INLINE_BYTES = 24 * 1024
"""A message's texts and previews together; what comes after goes to blobs, and the record stays below its 64 KiB."""
REFERENCE_BYTES = 135
"""What a reference to a blob takes; a text that is not longer stays where it is."""
PREVIEW_CHARS = 1000
TEXT = "text/plain; charset=utf-8"
RESULT_BYTES = 32 * 1024
RESULT_CHARS = 24_000
"""What the model sees of one tool result; all of it is in the blob."""


async def spill_parts(parts: Sequence[Part], tenant: TenantId, blobs: Blobs) -> tuple[Part, ...]:
    """Gives the parts fit for a record: every long text is in a blob, with its beginning in place."""
    spilled: list[Part] = []
    left = MESSAGE_INLINE_BYTES
    for part in parts:
        size = _size(part)
        large = size > min(INLINE_BYTES, max(left, REFERENCE_BYTES))
        spilled.append(await _spill(part, tenant, blobs, left) if large else part)
        left -= _size(spilled[-1])
    return tuple(spilled)


def unicode(text: str) -> str:
    """Gives the text with U+FFFD for halves of characters, which no record can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def fill_messages(messages: Sequence[Message], tenant: TenantId, blobs: Blobs) -> tuple[Message, ...]:
    """Gives the messages with whole texts in place of previews; tool results keep the view they were given."""
    return tuple([m if _is_whole(m) else await _fill_message(m, tenant, blobs) for m in messages])


async def bound_result(result: ToolResultPart, tenant: TenantId, blobs: Blobs) -> ToolResultPart:
    """Gives the result as the model will see it: the beginning and the end of a long one, with all of it in a blob."""
    text = result.text
    if len(text) <= RESULT_CHARS and _bytes(text) <= RESULT_BYTES:
        return result
    blob = await blobs.put(tenant, text.encode(errors="replace"), TEXT)
    half = RESULT_CHARS // 2
    while _bytes(text[:half]) + _bytes(text[-half:]) > RESULT_BYTES:
        half //= 2
    left_out = len(text) - 2 * half
    view = f"{text[:half]}\n[… {left_out} of {len(text)} characters left out: ask for less at a time …]\n{text[-half:]}"
    return replace(result, text=view, blob=blob)


def _is_whole(message: Message) -> bool:
    return all(getattr(part, "blob", None) is None or isinstance(part, ToolResultPart) for part in message.parts)


async def _fill_message(message: Message, tenant: TenantId, blobs: Blobs) -> Message:
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


async def _spill(part: Part, tenant: TenantId, blobs: Blobs, left: int) -> Part:
    match part:
        case TextPart(text=text) | ThinkingPart(text=text):
            blob = await blobs.put(tenant, text.encode(), TEXT)
            return replace(part, text=_preview(text, left), blob=blob)
        case ToolCallPart(arguments=arguments):
            blob = await blobs.put(tenant, arguments.encode(), "application/json")
            return replace(part, arguments="{}", blob=blob)
        case _:
            return part


def _preview(text: str, left: int) -> str:
    """Gives the text's beginning, as far as there is room."""
    chars = PREVIEW_CHARS
    while chars and _bytes(text[:chars]) > left:
        chars //= 2
    return text[:chars]


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
