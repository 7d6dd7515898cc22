"""Sessions, claimants and records for the contract tests, short enough to read in place."""

from collections.abc import Iterable
from typing import Any, ClassVar

from app.core.ids import AgentId, Birth, Incarnation, ItemId, Nonce, RunId, SessionId, TenantId, UserId, item_id
from app.core.keys import SessionKey
from app.core.messages import Message, TextPart
from app.core.records import (
    READER,
    AnyRecord,
    Busy,
    Entry,
    MessageAppended,
    RunCancelRequested,
    RunFinished,
    RunSuspended,
    StatePatched,
)
from app.stores.base import Claimed, Committed, Log, Position, Release
from app.stores.bundle import Stores
from app.stores.head import Claimant, Submission
from app.testing.clock import START

AGENT = AgentId("a")


class NewerPatch(StatePatched, frozen=True, kw_only=True, tag="state.patched"):
    """A record that only newer programs understand."""

    reader: ClassVar[int] = READER + 1


def key(session: str = "s", *, tenant: str = "t", user: str = "u", agent: str = AGENT) -> SessionKey:
    return SessionKey(TenantId(tenant), UserId(user), AgentId(agent), SessionId(session))


def who(
    nonce: str = "n", incarnation: str = "i", *, agents: Iterable[str] = (AGENT,), reader: int = READER
) -> Claimant:
    digests = {AgentId(agent): f"digest of {agent}" for agent in agents}
    return Claimant(incarnation=Incarnation(incarnation), nonce=Nonce(nonce), digests=digests, reader=reader)


def ask(run: str = "r1", text: str = "hi", *, birth: str = "b", policy: Busy = Busy.ENQUEUE, **rest: Any) -> Submission:
    return Submission(run_id=RunId(run), input=(TextPart(text=text),), birth=Birth(birth), policy=policy, **rest)


def answer(run: str = "r1", seen: int = 0, text: str = "hello") -> MessageAppended:
    message = Message(role="assistant", parts=(TextPart(text=text),))
    return MessageAppended(at=START, run_id=RunId(run), item=item(run), message=message, seen=seen)


def item(run: str) -> ItemId:
    return item_id(RunId(run), 0, 0)


def done(run: str = "r1") -> RunFinished:
    return RunFinished(at=START, run_id=RunId(run), status="completed")


def cancel(run: str = "r1") -> RunCancelRequested:
    return RunCancelRequested(at=START, run_id=RunId(run))


def suspended(run: str = "r1") -> RunSuspended:
    return RunSuspended(at=START, run_id=RunId(run), reason="approval")


def title(text: str) -> StatePatched:
    return StatePatched(at=START, title=text)


def end(log: Log) -> Position:
    """Gives the place after which an append must come."""
    return Position(log.head.birth, log.head.seq)


def types(entries: Iterable[Entry]) -> list[str]:
    """Gives the records' types, as they are stored."""
    return [str(type(entry.record).__struct_config__.tag) for entry in entries]


async def begin(stores: Stores, where: SessionKey, run: str = "r1", by: Claimant | None = None, **rest: Any) -> Claimed:
    """Submits an input that must be claimed."""
    claimed = await stores.sessions.submit(where, ask(run, **rest), by or who(f"nonce of {run}"))
    assert isinstance(claimed, Claimed), claimed
    return claimed


async def finish(stores: Stores, where: SessionKey, claimed: Claimed, release: Release | None = None) -> Committed:
    """Commits the claimed run's answer and end, as its claim's first commit."""
    seen, run = claimed.log.head.seq, claimed.run_id
    records = [answer(run, seen), done(run)]
    return await stores.sessions.commit(where, claimed.claim, 1, seen, records, release or Release())


async def turn(stores: Stores, where: SessionKey, run: str = "r1", **rest: Any) -> Committed:
    """Plays a plain turn from input to end."""
    return await finish(stores, where, await begin(stores, where, run, **rest))


async def wait_in_line(stores: Stores, where: SessionKey, run: str = "r1") -> None:
    """Makes the session ready: an input that nobody claims."""
    await stores.sessions.submit(where, ask(run, birth=f"birth of {where.session}"), None)


async def whole(stores: Stores, where: SessionKey) -> Log:
    """Reads the log from its beginning."""
    return await stores.sessions.read(where, after=0, limit=100_000)


def records(log: Log) -> list[AnyRecord]:
    return [entry.record for entry in log.entries]
