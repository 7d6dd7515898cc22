"""Sessions, claimants and records for the contract tests, short enough to read in place."""

from collections.abc import Iterable
from itertools import count
from typing import Any, ClassVar

from app.core.ids import AgentId, Birth, Incarnation, ItemId, Nonce, RunId, SessionId, TenantId, UserId, item_id
from app.core.keys import DIGEST_CHARS, SessionKey
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


HERE = key()
"""Where everything happens that is not said to happen elsewhere."""


def beside(where: SessionKey, session: str = "s", *, tenant: str = "t") -> SessionKey:
    """Gives another session, of that tenant, in the same partition: what is decided within one concerns it."""
    names = (key(f"{session}{number}", tenant=tenant) for number in count())
    return next(found for found in names if found.partition() == where.partition() and found != where)


def rid(run: str = "r1", where: SessionKey = HERE) -> RunId:
    """Names a run of that session."""
    return RunId(f"run_{where.digest()[:DIGEST_CHARS]}_{run}")


def who(
    nonce: str = "n", incarnation: str = "i", *, agents: Iterable[str] = (AGENT,), reader: int = READER
) -> Claimant:
    digests = {AgentId(agent): f"digest of {agent}" for agent in agents}
    return Claimant(incarnation=Incarnation(incarnation), nonce=Nonce(nonce), digests=digests, reader=reader)


def ask(
    run: str = "r1",
    text: str = "hi",
    *,
    where: SessionKey = HERE,
    birth: str = "b",
    policy: Busy = Busy.ENQUEUE,
    **rest: Any,
) -> Submission:
    words = (TextPart(text=text),)
    return Submission(run_id=rid(run, where), input=words, birth=Birth(birth), policy=policy, **rest)


def answer(run: str = "r1", seen: int = 0, text: str = "hello", *, where: SessionKey = HERE) -> MessageAppended:
    message = Message(role="assistant", parts=(TextPart(text=text),))
    return MessageAppended(at=START, run_id=rid(run, where), item=item(run, where), message=message, seen=seen)


def item(run: str = "r1", where: SessionKey = HERE) -> ItemId:
    return item_id(rid(run, where), 0, 0)


def done(run: str = "r1", where: SessionKey = HERE) -> RunFinished:
    return RunFinished(at=START, run_id=rid(run, where), status="completed")


def cancel(run: str = "r1", where: SessionKey = HERE) -> RunCancelRequested:
    return RunCancelRequested(at=START, run_id=rid(run, where))


def suspended(run: str = "r1", where: SessionKey = HERE) -> RunSuspended:
    return RunSuspended(at=START, run_id=rid(run, where), reason="approval")


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
    claimed = await stores.sessions.submit(where, ask(run, where=where, **rest), by or who(f"nonce of {run}"))
    assert isinstance(claimed, Claimed), claimed
    return claimed


async def finish(stores: Stores, where: SessionKey, claimed: Claimed, release: Release | None = None) -> Committed:
    """Commits the claimed run's answer and end, as its claim's first commit."""
    seen, run = claimed.log.head.seq, claimed.run_id.removeprefix(rid("", where))
    records = [answer(run, seen, where=where), done(run, where)]
    return await stores.sessions.commit(where, claimed.claim, 1, seen, records, release or Release())


async def turn(stores: Stores, where: SessionKey, run: str = "r1", **rest: Any) -> Committed:
    """Plays a plain turn from input to end."""
    return await finish(stores, where, await begin(stores, where, run, **rest))


async def wait_in_line(stores: Stores, where: SessionKey, run: str = "r1") -> None:
    """Makes the session ready: an input that nobody claims."""
    await stores.sessions.submit(where, ask(run, where=where, birth=f"birth of {where.session}"), None)


async def whole(stores: Stores, where: SessionKey) -> Log:
    """Reads the log from its beginning."""
    return await stores.sessions.read(where, after=0, limit=100_000)


def records(log: Log) -> list[AnyRecord]:
    return [entry.record for entry in log.entries]
