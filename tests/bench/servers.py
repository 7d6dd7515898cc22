"""The servers of the bench: the model, the floor, and Baton over a store."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.backings import EMBEDDED, Backing, Variables
from tests.bench.load import Target
from tests.bench.processes import LOAD_CORE, ROOT, SERVER_CORE, Process, started


class Laboratory:
    """Where servers are started: a directory of their own, one model, a store, and perhaps a mutation of Baton."""

    def __init__(self, where: Path, model: Process, backing: Backing = EMBEDDED, mutation: str | None = None) -> None:
        self._where = where
        self._model = model
        self.backing = backing
        self.mutation = mutation
        self._number = 0

    def note(self, text: str) -> None:
        """What was measured, in raw numbers, is printed."""
        print(f"# {self.backing.name}: {text}", flush=True)

    def variables(self, store: Variables | None = None, slots: int = 64) -> dict[str, str]:
        """Gives the settings of a Baton with a data directory of its own, and that store; without one, a fresh one."""
        self._number += 1
        return {
            **(self.backing.fresh() if store is None else store),
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_KEY": "bench",
            "BATON_DATA_DIR": str(self._where / f"{self.backing.name}{self._number}"),
            "BATON_AGENTS_DIR": str(ROOT / "agents"),
            "BATON_MAX_RUNS": str(slots),
            "BATON_LOG_LEVEL": "warning",
        }

    @contextmanager
    def floor(self) -> Generator[Process, None, None]:
        """Gives the floor."""
        with started("tests.bench.floor", core=SERVER_CORE, where=self._where, OPENAI_BASE_URL=self.url) as process:
            yield process

    @contextmanager
    def baton(self, slots: int = 64, store: Variables | None = None) -> Generator[Process, None, None]:
        """Gives a server."""
        module, first = ("app", []) if self.mutation is None else ("tests.bench.mutated", [self.mutation])
        with started(
            module,
            *first,
            *("serve", "--port", "0"),
            core=SERVER_CORE,
            where=self._where,
            **self.variables(store, slots),
        ) as process:
            yield process

    @property
    def url(self) -> str:
        """Gives the model's base URL."""
        return f"http://127.0.0.1:{self._model.port}/v1"


@contextmanager
def laboratory(
    where: Path, mutation: str | None = None, backing: Backing = EMBEDDED
) -> Generator[Laboratory, None, None]:
    """Gives a laboratory whose model runs beside the load."""
    with started("tests.bench.model", core=LOAD_CORE, where=where) as model:
        yield Laboratory(where, model, backing, mutation)


def target_of(process: Process, session: str | None = None) -> Target:
    """Gives the floor or Baton as a target: each request a new session, or all of them that one."""
    path = "/v1/chat" if session is None else f"/v1/agents/assistant/sessions/{session}/runs"
    return Target(process.port, path)
