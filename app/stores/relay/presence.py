"""Presence: what this replica follows, what is at home here, and of what the others were told."""

from collections.abc import Callable, Iterable

from app.core.keys import SessionKey
from app.stores.relay.letters import Address, address_of


class Presence:
    """Counts the followers of each session here, and remembers which sessions the others know of."""

    def __init__(self) -> None:
        self._here: dict[Address, _Here] = {}
        self._told: set[Address] = set()

    def enter(self, key: SessionKey, *, home: bool) -> Callable[[], None]:
        """Somebody here follows the session, until the result is called."""
        session = address_of(key)
        here = self._here.setdefault(session, _Here(key))
        here.followers += 1
        here.homes += home
        entered = [here]

        def leave() -> None:
            while entered:
                self._leave(session, entered.pop(), home=home)

        return leave

    def key_of(self, session: Address) -> SessionKey | None:
        """Gives the session's key, if it is followed here."""
        here = self._here.get(session)
        return here.key if here is not None else None

    def is_home(self, session: Address) -> bool:
        """Says whether the session runs here, or is about to."""
        here = self._here.get(session)
        return here is not None and here.homes > 0

    def is_told(self, session: Address) -> bool:
        """Says whether the others were told that it is followed here, and nothing else since."""
        return session in self._told

    def tell(self, sessions: Iterable[Address]) -> None:
        """The others were told that these are followed here."""
        self._told.update(sessions)

    def followed(self) -> tuple[Address, ...]:
        """Gives all sessions that are followed here."""
        return tuple(self._here)

    def left(self) -> tuple[Address, ...]:
        """Gives the sessions that are not followed here any more, which is to be told now."""
        left = tuple(self._told - self._here.keys())
        self._told.difference_update(left)
        return left

    def _leave(self, session: Address, here: "_Here", *, home: bool) -> None:
        here.followers -= 1
        here.homes -= home
        if not here.followers and self._here.get(session) is here:
            del self._here[session]


class _Here:
    """A session that is followed here."""

    def __init__(self, key: SessionKey) -> None:
        self.key = key
        self.followers = 0
        self.homes = 0
