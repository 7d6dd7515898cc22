"""The way of a stream's frames past the middleware: only for a client that can take them now."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message

from app.api.heads import SINK, sink
from app.api.sse import EventStream
from app.engine.sink import Sink, refuse
from tests.api.test_sse import Endless, Wire


class Socket:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def response(**changes: Any) -> Any:
    """One response as uvicorn keeps it, its head sent."""
    usual = {"disconnected": False, "response_complete": False, "chunked_encoding": True, "transport": Socket()}
    return SimpleNamespace(**{"flow": SimpleNamespace(write_paused=False), **usual, **changes})


def test_a_piece_is_written_as_a_chunk() -> None:
    cycle = response()
    assert sink(cycle, b"x" * 20)
    assert cycle.transport.written == [b"14\r\n" + b"x" * 20 + b"\r\n"]


@pytest.mark.parametrize(
    "changes",
    [
        {"flow": SimpleNamespace(write_paused=True)},
        {"disconnected": True},
        {"response_complete": True},
        {"chunked_encoding": None},
        {"chunked_encoding": False},
    ],
    ids=["slow", "gone", "over", "no-head-yet", "no-chunks"],
)
def test_nothing_is_written_to_whoever_cannot_take_it(changes: dict[str, Any]) -> None:
    cycle = response(**changes)
    assert not sink(cycle, b"x")
    assert cycle.transport.written == []


class Curious(Endless):
    """Remembers where its frames may go."""

    sink: Sink = staticmethod(refuse)

    def frames(self, sink: Sink = refuse) -> Any:
        self.sink = sink
        return super().frames()


async def test_a_stream_is_given_the_servers_way_if_there_is_one() -> None:
    async def send(_: Message) -> None:
        raise ConnectionError

    def take(_: bytes) -> bool:
        return True

    for scope, expected in (
        ({"type": "http", "extensions": {SINK: {"write": take}}}, take),
        ({"type": "http"}, refuse),
    ):
        stream, wire = Curious(1), Wire()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(EventStream(stream)(scope, wire.receive, send), 5)
        assert stream.sink is expected
