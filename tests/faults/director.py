"""A model that plays a part per input, each of several answers, and holds back wherever a test wants."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence

from app.llm.base import ModelEvent, ModelRequest
from tests.support.puppet import Piece, Puppet


class Director(Puppet):
    """The last thing the user said chooses the part, and the answers given since then choose the answer."""

    def __init__(self, parts: Mapping[str, Sequence[Sequence[Piece]]]) -> None:
        super().__init__(["unasked"])
        self.asked: Counter[str] = Counter()
        """How often each part was asked for an answer."""
        self._parts = parts

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        last = max(place for place, message in enumerate(request.messages) if message.role == "user")
        text = request.messages[last].text()
        said = sum(message.role == "assistant" for message in request.messages[last:])
        self.asked[text] += 1
        player = Puppet(self._parts[text][said])
        async for batch in player.stream(request):
            yield batch
