"""Every error Baton raises on purpose, as one tree; `api/errors.py` maps the codes to HTTP.

BatonError
├── InvalidInput                      what was asked for cannot be meant
│   ├── RecordTooLarge
│   └── BadCursor
├── NotFound
│   ├── AgentNotFound · SessionNotFound · RunNotFound · BlobNotFound
├── Conflict                          the world is not as the caller thinks
│   ├── SessionExists · SessionBusy · HeadMoved
│   └── IdempotencyMismatch
├── LimitReached
│   └── QueueFull
├── Unauthenticated · Forbidden
├── ClaimLost                         the runner must stop: the session is not its own any more
│   ├── StaleClaim
│   └── LogRegressed
├── Unseen                            a release came before an input or a cancel was read
├── Unavailable
│   ├── StoreUnavailable · Draining
│   │   └── StoreBusy
├── StoreCorrupt                      never answered with a fresh state
├── ReplicaDead                       this incarnation was declared dead
├── ModelError                        what a provider did; `retryable` says whether asking again may help
├── ToolError                         what a tool tells the model
└── ConfigError                       stops the start; names the variable and the fix
"""

from collections.abc import Sequence
from typing import ClassVar

from app.core.ids import RunId
from app.core.records import Entry


class BatonError(Exception):
    """The root. `code` is stable and public; the message says what happened and what to do."""

    code: ClassVar[str] = "internal"


class InvalidInput(BatonError):
    """The request is well-formed but asks for something that cannot be."""

    code = "invalid_input"


class RecordTooLarge(InvalidInput):
    """A record exceeds 64 KiB; what is large belongs in a blob."""

    code = "record_too_large"


class BadCursor(InvalidInput):
    """A page cursor or event id that this server cannot have given out."""

    code = "bad_cursor"


class NotFound(BatonError):
    """There is nothing there, for this caller."""

    code = "not_found"


class AgentNotFound(NotFound):
    """No such agent is loaded."""

    code = "agent_not_found"


class SessionNotFound(NotFound):
    """No such session, or it was deleted."""

    code = "session_not_found"


class RunNotFound(NotFound):
    """No such run."""

    code = "run_not_found"


class BlobNotFound(NotFound):
    """The tenant has no such blob."""

    code = "blob_not_found"


class Conflict(BatonError):
    """The state is not what the caller takes it for."""

    code = "conflict"


class SessionExists(Conflict):
    """A session of that id exists already."""

    code = "session_exists"


class SessionBusy(Conflict):
    """A run is active and the policy is `reject`; `run_id` names it."""

    code = "session_busy"

    def __init__(self, run_id: RunId) -> None:
        super().__init__(f"the session is busy with {run_id}; wait for it, cancel it, or choose another on_busy policy")
        self.run_id = run_id


class HeadMoved(Conflict):
    """The log grew since the caller read it; read again and decide again."""

    code = "head_moved"


class IdempotencyMismatch(Conflict):
    """The idempotency key was used before, with another body."""

    code = "idempotency_mismatch"


class LimitReached(BatonError):
    """A bound was hit; the message names it."""

    code = "limit_reached"


class QueueFull(LimitReached):
    """The session's queue of waiting runs is full."""

    code = "queue_full"


class Unauthenticated(BatonError):
    """Nobody we know."""

    code = "unauthenticated"


class Forbidden(BatonError):
    """Known, but not allowed."""

    code = "forbidden"


class ClaimLost(BatonError):
    """The caller does not own the session any more. It stops, and writes nothing."""

    code = "claim_lost"


class StaleClaim(ClaimLost):
    """Another claim, or none, is in force."""

    code = "stale_claim"


class LogRegressed(ClaimLost):
    """The store lost writes that this claim has seen acknowledged; what the runner knows is not the log any more."""

    code = "log_regressed"


class Unseen(BatonError):
    """Nothing was written: an input or a cancel lies beyond what the runner has seen. Fold, decide again."""

    code = "unseen"

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(f"{len(entries)} records are unseen")
        self.entries = entries


class Unavailable(BatonError):
    """Not now; the same request may work later."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The store does not answer."""

    code = "store_unavailable"


class StoreBusy(StoreUnavailable):
    """Every connection to the store was in use for as long as a caller may wait for one; nothing was asked of it."""

    code = "store_busy"


class Draining(Unavailable):
    """This replica is shutting down; another one, or this one restarted, will answer."""

    code = "draining"


class StoreCorrupt(BatonError):
    """What is stored cannot be read. It is never replaced by a fresh state."""

    code = "store_corrupt"


class ReplicaDead(BatonError):
    """This incarnation was declared dead; it must join again as another."""

    code = "replica_dead"


class ModelError(BatonError):
    """What a provider did. `retryable`: the same request may succeed. `retry_after`: seconds the provider asked for."""

    code = "model_error"

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class ToolError(BatonError):
    """A tool could not do it; the message goes to the model, which may try otherwise."""

    code = "tool_error"


class ConfigError(BatonError):
    """A setting stops the start; the message names the variable, the reason and the fix."""

    code = "config_error"
