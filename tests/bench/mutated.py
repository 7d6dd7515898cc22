"""Baton, made worse on purpose: a bench that does not notice is worth nothing.

python -m tests.bench --mutate busy_chunk
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

from app.__main__ import main
from app.engine.channel import Channel
from app.engine.engine import Engine
from app.engine.stream import Stream
from app.engine.tenure import Tenure
from app.stores.postgres import database
from app.stores.redis import wires

MIB = 2**20
NEEDLESS = 10_000

_kept: list[bytes] = []


def mutation(name: str | None) -> AbstractContextManager[Any]:
    """Gives what makes Baton worse while it is open. No name: nothing."""
    return nullcontext() if name is None else MUTATIONS[name]()


def _busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def _keep(size: int) -> None:
    _kept.append(b"x" * size)


def _before(owner: type, name: str, extra: Callable[..., object]) -> AbstractContextManager[Any]:
    """Gives a patch under which `extra` is called first, with the method's arguments."""
    method = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        extra(*arguments)
        return method(*arguments, **named)

    return patch.object(owner, name, changed)


def _busy_chunk() -> AbstractContextManager[Any]:
    return _before(Channel, "deliver", lambda *_: _busy(0.002))


def _slow_first() -> AbstractContextManager[Any]:
    return _before(Engine, "submit", lambda *_: time.sleep(0.02))


def _extra_round_trip() -> AbstractContextManager[Any]:
    submit = Engine.submit

    async def changed(self: Engine, who: Any, invocation: Any) -> Any:
        accepted = await submit(self, who, invocation)
        await self.run(who, accepted.run_id)
        return accepted

    return patch.object(Engine, "submit", changed)


def _chatty_redis() -> AbstractContextManager[Any]:
    """After each exchange something large and needless is asked, too."""
    talk = wires.talk

    async def changed(wire: Any, commands: Any) -> list[Any]:
        replies = await talk(wire, commands)
        await talk(wire, [("ECHO", b"x" * NEEDLESS)])
        return replies

    return patch.object(wires, "talk", changed)


def _chatty_postgres() -> AbstractContextManager[Any]:
    """Each statement gets an explicit transaction, which costs two round trips more."""
    fetch = database._fetch

    async def changed(connection: Any, statement: str, arguments: Any) -> list[Any]:
        async with connection.transaction():
            return await fetch(connection, statement, arguments)

    return patch.object(database, "_fetch", changed)


def _busy_redis() -> AbstractContextManager[Any]:
    return _before(wires.Server, "exchange", lambda *_: _busy(0.002))


def _stutter() -> AbstractContextManager[Any]:
    """The event loop stands still for 100 ms, again and again."""
    due = [0.0]

    def stand_still(*_: Any) -> None:
        if time.monotonic() > due[0]:
            time.sleep(0.1)
            due[0] = time.monotonic() + 0.2

    return _before(Channel, "deliver", stand_still)


def _growing_turn() -> AbstractContextManager[Any]:
    def longer(*arguments: Any) -> None:
        _busy(arguments[3].head.seq * 5e-5)

    return _before(Tenure, "__init__", longer)


def _heavy_stream() -> AbstractContextManager[Any]:
    return _before(Stream, "__init__", lambda *_: _keep(MIB // 4))


def _at_start(extra: Callable[[], object]) -> AbstractContextManager[Any]:
    extra()
    return nullcontext()


MUTATIONS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "busy_chunk": _busy_chunk,
    "slow_first": _slow_first,
    "extra_round_trip": _extra_round_trip,
    "chatty_redis": _chatty_redis,
    "chatty_postgres": _chatty_postgres,
    "busy_redis": _busy_redis,
    "stutter": _stutter,
    "growing_turn": _growing_turn,
    "heavy_stream": _heavy_stream,
    "slow_start": partial(_at_start, partial(_busy, 2)),
    "heavy_start": partial(_at_start, partial(_keep, 128 * MIB)),
}


if __name__ == "__main__":
    with mutation(sys.argv[1]):
        sys.exit(main(sys.argv[2:]))
