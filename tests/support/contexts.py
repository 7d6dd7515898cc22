"""What every provider demands of a conversation, checked."""

from collections.abc import Sequence

from app.core.messages import Message, ToolResultPart


def faults_of(messages: Sequence[Message]) -> list[str]:
    """Gives what a provider would refuse: calls without exactly one result right after them, results without a call."""
    faults: list[str] = []
    wanted: list[str] = []
    for place, message in enumerate(messages):
        given = [part.call_id for part in message.parts if isinstance(part, ToolResultPart)]
        if sorted(given) != sorted(wanted):
            faults.append(f"message {place} answers {given}, but {wanted} were asked")
        if bool(given) != (message.role == "tool"):
            faults.append(f"message {place} of role {message.role} has the results {given}")
        if not message.parts:
            faults.append(f"message {place} is empty")
        wanted = [call.call_id for call in message.calls()]
    return faults + [f"{wanted} are never answered"] * bool(wanted)
