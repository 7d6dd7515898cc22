"""What a client does while the store fails under it: scenarios, and the laws that their logs must keep."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from msgspec import Struct

from app.core.errors import BatonError
from app.core.messages import TextPart, ToolCallPart, ToolResultPart
from app.core.records import (
    Busy,
    Effect,
    Entry,
    InputSteered,
    RunFinished,
    RunQueued,
    RunStarted,
    ToolFinished,
    ToolStarted,
)
from app.core.state import AgentState
from app.engine.views import Accepted
from app.stores.bundle import Stores
from app.testing.faults import Faulty
from tests.support.puppet import Call, Piece
from tests.support.replica import WHO, Replica
from tests.support.tools import CountingTool

SECONDS = 20
"""How long anything may take, with all its retries."""


class Scenario(Struct, frozen=True):
    """One way to use the server. `play` may fail with any of the server's errors: the store is failing."""

    name: str
    answers: tuple[list[Piece], ...]
    play: Callable[[Replica], Coroutine[Any, Any, None]]


async def _say(server: Replica, text: str, policy: Busy = Busy.ENQUEUE) -> Accepted | None:
    """Submits as a client does that repeats itself until it is answered: under one idempotency key."""
    for _ in range(3):
        with suppress(BatonError):
            return await server.say(text, policy=policy, key=text)
    return None


async def _finish(server: Replica, accepted: Accepted | None) -> None:
    if accepted is not None:
        with suppress(BatonError):
            await server.engine.finished(WHO, accepted.run_id)


async def plain(server: Replica) -> None:
    await _finish(server, await _say(server, "one"))


async def queue(server: Replica) -> None:
    accepted = [await _say(server, text) for text in ("one", "two")]
    for item in accepted:
        await _finish(server, item)


async def steer(server: Replica) -> None:
    first = await _say(server, "one")
    await _say(server, "two", Busy.STEER)
    await _finish(server, first)


async def cancel(server: Replica) -> None:
    first = await _say(server, "one")
    if first is not None:
        with suppress(BatonError):
            await server.engine.cancel(WHO, first.run_id)
    await _finish(server, first)


async def drain(server: Replica) -> None:
    await _say(server, "one")
    await server.engine.drain(0.05)


SCENARIOS = (
    Scenario("plain", (["an ", "answer"],), plain),
    Scenario("three_tools", ([Call("unsafe", "{}"), Call("keyed", "{}"), Call("pure", "{}")], ["done"]), plain),
    Scenario("queue", (["a"], ["b"]), queue),
    Scenario("steer", ([Call("unsafe", "{}")], ["a"], ["b"]), steer),
    Scenario("cancel", ([Call("unsafe", "{}")], ["a"]), cancel),
    Scenario("drain", ([Call("keyed", "{}")], ["a"]), drain),
)


def tools() -> tuple[CountingTool, ...]:
    """Gives one tool of each effect; they outlive the replicas, as the world does."""
    return tuple(CountingTool(effect.value, effect) for effect in Effect)


def guarded(stores: Stores, faulty: Faulty) -> Stores:
    """Gives the stores with every port that the engine writes through guarded."""
    return Stores(
        sessions=faulty.guard(stores.sessions, "sessions"),
        runs=faulty.guard(stores.runs, "runs"),
        heads=stores.heads,
        replicas=stores.replicas,
        keyvalue=stores.keyvalue,
        blobs=stores.blobs,
        bus=stores.bus,
    )


def check_log(entries: tuple[Entry, ...], state: AgentState) -> None:
    """The log is legal and complete: every run that was taken in has ended, once, and no call is without its result."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    queued = [entry.record.run_id for entry in entries if isinstance(entry.record, RunQueued)]
    finished = [entry.record.run_id for entry in entries if isinstance(entry.record, RunFinished)]
    assert len(queued) == len(set(queued)), "an input was taken in twice"
    assert sorted(finished) == sorted(queued), "a run has no end, or two"
    _check_epochs(entries)
    _check_calls(entries)
    _check_steered(entries, state)
    assert state.run is None
    for before, after in zip(state.messages, state.messages[1:], strict=False):
        wanted = [part.call_id for part in before.parts if isinstance(part, ToolCallPart)]
        given = [part.call_id for part in after.parts if isinstance(part, ToolResultPart)]
        assert wanted == given or before.incomplete, "a call without its result, or a result without its call"


def _check_epochs(entries: tuple[Entry, ...]) -> None:
    epochs = [entry.record.epoch for entry in entries if isinstance(entry.record, RunStarted)]
    assert epochs == sorted(set(epochs)), "an epoch was given twice"


def _check_calls(entries: tuple[Entry, ...]) -> None:
    finished = [entry.record.item for entry in entries if isinstance(entry.record, ToolFinished)]
    assert len(finished) == len(set(finished)), "a call finished twice"


def _check_steered(entries: tuple[Entry, ...], state: AgentState) -> None:
    """Every input that joined a run is in the conversation, and was answered unless the run was cut short."""
    completed = {
        entry.record.run_id
        for entry in entries
        if isinstance(entry.record, RunFinished) and entry.record.status == "completed"
    }
    roles = [(message.role, message.text()) for message in state.messages]
    for record in (entry.record for entry in entries):
        if isinstance(record, InputSteered):
            (part,) = record.input
            assert isinstance(part, TextPart)
            place = roles.index(("user", part.text))
            assert record.run_id not in completed or roles[place + 1][0] == "assistant", "a joined input is unanswered"


def check_effects(entries: tuple[Entry, ...], world: tuple[CountingTool, ...]) -> None:
    """Effects are as the ledger says: keyed ones happened once per key, unsafe ones at most once, none unannounced."""
    started = {entry.record.key for entry in entries if isinstance(entry.record, ToolStarted)}
    for tool in world:
        if tool.spec.effect is Effect.PURE:
            continue
        assert set(tool.effects) <= started, "an effect that the log does not know of"
        assert set(tool.effects.values()) <= {1}, "an effect happened twice"
    results = [entry.record for entry in entries if isinstance(entry.record, ToolFinished)]
    known = {result.item for result in results if result.outcome == "ok"}
    for entry in entries:
        if isinstance(entry.record, ToolStarted) and entry.record.item in known:
            assert any(entry.record.key in tool.effects for tool in world), "a call is called done but was not"


async def play(scenario: Scenario, server: Replica, faulty: Faulty) -> None:
    """The scenario was played to its end, or to the mishap that nobody survives."""
    async with asyncio.timeout(SECONDS):
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(scenario.play(server))
            struck = group.create_task(faulty.struck.wait())
            await asyncio.wait([playing, struck], return_when=asyncio.FIRST_COMPLETED)
            if not faulty.is_fatal or not faulty.struck.is_set():
                await playing
            playing.cancel()
            struck.cancel()
