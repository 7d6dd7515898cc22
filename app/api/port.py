"""The engine as the API sees it. `app.engine` implements it; tests bring one that lives in memory."""

from collections.abc import AsyncGenerator
from typing import Protocol

from app.auth.base import Principal
from app.core.ids import AgentId, RunId, SessionId
from app.core.keys import SessionKey
from app.engine.sink import Sink
from app.engine.views import Accepted, Invocation, MessagePage, RunView, SessionPage, SessionView


class Stream(Protocol):
    """One follower's view of a session or a run."""

    @property
    def key(self) -> SessionKey:
        """Names the session it follows."""
        ...

    @property
    def run_id(self) -> RunId | None:
        """Names the run it follows; None for a whole session."""
        ...

    def frames(self, sink: Sink = ...) -> AsyncGenerator[bytes, None]:
        """Gives whole SSE frames, ready to write. An error before the first one is the answer to the request.

        While it waits for more, it may give them to the sink instead.
        """
        ...


class RunDesk(Protocol):
    """Takes inputs in and tells what became of them."""

    async def submit(self, who: Principal, invocation: Invocation) -> Accepted:
        """The input is in the log. Raises AgentNotFound, SessionBusy, QueueFull, IdempotencyMismatch, Draining."""
        ...

    async def cancel(self, who: Principal, run_id: RunId) -> RunView:
        """The run will stop, or has finished already. Raises RunNotFound."""
        ...

    async def run(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run. Raises RunNotFound."""
        ...

    async def finished(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run once it has finished, however long that takes. Raises RunNotFound."""
        ...

    def ready(self) -> bool:
        """Says whether this replica takes inputs; False while it drains."""
        ...

    def cut_off(self) -> bool:
        """Says whether this replica does not reach its store, and so can do nothing."""
        ...


class SessionDesk(Protocol):
    """Makes, shows, lists and deletes a caller's sessions."""

    async def create_session(
        self, who: Principal, agent: AgentId, session: SessionId | None, title: str, metadata: dict[str, str]
    ) -> SessionView:
        """The session exists. Raises SessionExists, AgentNotFound."""
        ...

    async def session(self, who: Principal, agent: AgentId, session: SessionId) -> SessionView:
        """Gives the session. Raises SessionNotFound."""
        ...

    async def sessions(self, who: Principal, agent: AgentId | None, cursor: str | None, limit: int) -> SessionPage:
        """Gives the caller's sessions, newest first. Raises BadCursor."""
        ...

    async def delete_session(self, who: Principal, agent: AgentId, session: SessionId) -> None:
        """The session is gone. Raises SessionNotFound."""
        ...

    async def messages(self, who: Principal, agent: AgentId, session: SessionId, after: int, limit: int) -> MessagePage:
        """Gives the messages after that seq, in order. Raises SessionNotFound."""
        ...


class StreamDesk(Protocol):
    """Opens streams. Nothing is followed before `frames` is iterated."""

    async def follow_accepted(self, accepted: Accepted) -> Stream:
        """Gives the stream of an input just accepted, from its first record."""
        ...

    async def follow_run(self, who: Principal, run_id: RunId, cursor: str | None, until_suspended: bool) -> Stream:
        """Gives a run's stream from the cursor on. Raises RunNotFound, BadCursor."""
        ...

    async def follow_session(self, who: Principal, agent: AgentId, session: SessionId, cursor: str | None) -> Stream:
        """Gives a session's stream from the cursor on; it never ends. Raises SessionNotFound, BadCursor."""
        ...


class Engine(RunDesk, SessionDesk, StreamDesk, Protocol):
    """All of it."""
