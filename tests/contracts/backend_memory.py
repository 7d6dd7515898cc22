"""The memory backend for the contract suite."""

from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from dataclasses import fields

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.memory.contents import Contents
from app.stores.memory.stores import open_memory
from tests.contracts.backend import GARBAGE, Footprint


class MemoryBackend:
    """Contents that outlive the stores opened over them."""

    name = "memory"

    def __init__(self) -> None:
        self._contents = Contents()
        self._marked = Contents()

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        return open_memory(clock, contents=self._contents, fold_version=fold_version)

    def mark(self) -> None:
        self._marked = deepcopy(self._contents)

    def rewind(self) -> None:
        past = deepcopy(self._marked)
        for field in fields(Contents):
            setattr(self._contents, field.name, getattr(past, field.name))

    def footprint(self, key: SessionKey) -> Footprint:
        session = self._contents.sessions.get(key)
        if session is None:
            return Footprint()
        return Footprint(
            tuple(session.bodies),
            tuple(checkpoint.seq for checkpoint in session.checkpoints),
            len(session.requests),
            len(session.runs),
            len(session.blobs),
        )

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        self._contents.sessions[key].bodies[seq - 1 : seq] = [] if body is None else [body]

    def spoil_checkpoints(self, key: SessionKey) -> None:
        session = self._contents.sessions[key]
        session.checkpoints = [type(kept)(kept.seq, kept.version, GARBAGE) for kept in session.checkpoints]
