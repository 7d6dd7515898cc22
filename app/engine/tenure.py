"""A tenure: one replica's ownership of one session, from the claim to letting go; all of a run's writes pass here."""

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.errors import StoreUnavailable, Unseen
from app.core.fold import fold, peek
from app.core.ids import Birth, Nonce
from app.core.keys import SessionKey
from app.core.records import AnyRecord
from app.core.state import FOLD_VERSION, AgentState, encode_state
from app.engine.lease import Lease
from app.observability.context import bind_claim
from app.stores.base import Checkpoint, Committed, Log, Release, Sessions
from app.stores.bus import Announced, Bus
from app.stores.head import Claim

CHECKPOINT_EVERY = 32
"""Records between two checkpoints, at the least."""
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0)
"""How long to wait for a store that does not answer, before the session is given up to whoever takes it."""


class Tenure:
    """Keeps the state equal to the log: every commit is numbered, retried until answered, folded, announced."""

    def __init__(
        self, key: SessionKey, claim: Claim, log: Log, sessions: Sessions, bus: Bus, clock: Clock, lease: Lease
    ) -> None:
        self.key = key
        self.claim = claim
        self.birth: Birth = log.head.birth
        self.state: AgentState = log.state()
        self._checkpointed = log.checkpoint.seq if log.checkpoint else 0
        self._commits = 0
        self._sessions = sessions
        self._bus = bus
        self._clock = clock
        self._lease = lease
        self._sign()

    async def held(self) -> None:
        """Returns as soon as this replica may act. Raises ClaimLost if it was declared dead, and so its claim void."""
        await self._lease.held()

    async def commit(self, records: Sequence[AnyRecord], release: Release | None = None) -> bool:
        """The records are durable, folded and announced. False: they are not, but others' records were folded.

        Raises ClaimLost: the session is somebody else's, and the caller must stop; StoreUnavailable after the retries.
        """
        checkpoint = self._checkpoint(records)
        try:
            done = await self._insist(records, release, checkpoint)
        except Unseen:
            await self.refresh()
            return False
        self._commits += 1
        if checkpoint is not None and not done.unseen:
            self._checkpointed = checkpoint.seq
        entries = done.unseen + done.written
        self.state = fold(self.state, entries)
        if release is not None:
            self._let_go(done)
        self._bus.publish(self.key, Announced(self.birth, done.seq, entries))
        return True

    async def refresh(self) -> None:
        """The state is as new as the log.

        What others wrote is folded only from a commit's answer: should the store lose it again, it has lost the commit
        as well, and the next one finds that out.
        """
        await self.commit(())

    def _sign(self) -> None:
        """Every line that is logged on the way names the claim in force."""
        run = self.state.run
        bind_claim(
            session=self.key.encode(),
            incarnation=self._lease.incarnation,
            epoch=self.claim.epoch,
            run_id=run.run_id if run else None,
        )

    @property
    def is_held(self) -> bool:
        """Says whether the session is still ours after the last commit."""
        return self.claim.nonce != Nonce("")

    async def _insist(
        self, records: Sequence[AnyRecord], release: Release | None, checkpoint: Checkpoint | None
    ) -> Committed:
        """Repeats the commit under the same number while the store does not answer; it takes effect once."""
        attempt = 0
        while True:
            await self.held()
            try:
                return await self._sessions.commit(
                    self.key, self.claim, self._commits + 1, self.state.seq, records, release, checkpoint
                )
            except StoreUnavailable:
                if attempt == len(RETRY_SECONDS):
                    raise
                await self._clock.sleep(RETRY_SECONDS[attempt])
                attempt += 1

    def _let_go(self, done: Committed) -> None:
        """Goes on under the handed-over claim, or without any."""
        self.claim, self._commits = done.handed or Claim(self.claim.epoch, Nonce("")), 0
        if done.handed is not None:
            self._sign()
        if done.status == "ready":
            self._bus.wake()

    def _checkpoint(self, records: Sequence[AnyRecord]) -> Checkpoint | None:
        seq = self.state.seq + len(records)
        if seq - self._checkpointed < CHECKPOINT_EVERY:
            return None
        return Checkpoint(seq, FOLD_VERSION, encode_state(peek(self.state, records)))
