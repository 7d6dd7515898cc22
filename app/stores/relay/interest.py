"""Interest: what the other replicas follow. What none of them follows is not sent."""

from collections.abc import Iterable, Sequence

from app.core.clock import Clock
from app.core.ids import Incarnation
from app.stores.relay.letters import Address

RENEW_SECONDS = 2.0
"""How often a replica says again what it follows."""
EXPIRE_SECONDS = 10.0
"""How long it is believed: four renewals may get lost."""


class Interest:
    """What the other replicas follow, as far as they have told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[Address, dict[Incarnation, float]] = {}

    def note(self, replica: Incarnation, sessions: Iterable[Address]) -> None:
        """The replica follows them, for `EXPIRE_SECONDS` from now."""
        until = self._clock.monotonic() + EXPIRE_SECONDS
        for session in sessions:
            self._until.setdefault(session, {})[replica] = until

    def drop(self, replica: Incarnation, sessions: Iterable[Address]) -> None:
        """The replica does not follow them any more."""
        for session in sessions:
            followers = self._until.get(session, {})
            followers.pop(replica, None)
            if not followers:
                self._until.pop(session, None)

    def __bool__(self) -> bool:
        """Says whether another replica follows anything, or did a moment ago."""
        return bool(self._until)

    def __contains__(self, session: Address) -> bool:
        """Says whether another replica follows the session, or did a moment ago."""
        return session in self._until

    def of(self, session: Address) -> Sequence[Incarnation]:
        """Gives the replicas that follow the session."""
        followers = self._until.get(session)
        if followers is None:
            return ()
        now = self._clock.monotonic()
        return [replica for replica, until in followers.items() if until > now]

    def prune(self) -> None:
        """What has expired takes no room."""
        now = self._clock.monotonic()
        alive = {
            session: {replica: until for replica, until in followers.items() if until > now}
            for session, followers in self._until.items()
        }
        self._until = {session: followers for session, followers in alive.items() if followers}
