"""The tables: nothing outlives its session, and no question reads more than its answer."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from app.core.messages import BlobRef, ImagePart
from app.core.state import FOLD_VERSION
from app.stores.base import Checkpoint, Release
from app.stores.head import Submission
from app.stores.sqlite.queries import load_statements
from app.stores.sqlite.stores import open_sqlite
from app.testing.clock import ManualClock
from tests.contracts.scenes import answer, ask, done, key, who

WHOLE = {"configure", "read_only", "ready_tenants", "count_running"}
"""Scripts, and statements that go through an index from end to end."""


def rows(path: Path) -> Counter[str]:
    with closing(sqlite3.connect(path)) as here:
        tables = [name for (name,) in here.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        counts = {name: here.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        return +Counter({name: count for name, count in counts.items() if not name.startswith("sqlite_")})


async def test_a_deleted_session_leaves_a_tombstone_and_no_other_row(path: Path) -> None:
    async with open_sqlite(path, ManualClock()) as stores:
        request = ask(idempotency_key="k")
        picture = ImagePart(blob=BlobRef(sha256="0" * 64, size=1))
        submission = Submission(
            run_id=request.run_id, input=(picture,), birth=request.birth, idempotency_key="k", fingerprint="f"
        )
        await stores.sessions.submit(key(), submission, None)
        (taken,) = await stores.sessions.take(who(), 1, [])
        checkpoint = Checkpoint(5, FOLD_VERSION, b"{}")
        await stores.sessions.commit(key(), taken.claim, 1, 3, [answer(), done()], Release(), checkpoint)
        expected = {"sessions": 1, "entries": 5, "checkpoints": 1, "runs": 1, "requests": 1, "blob_names": 1}
        assert rows(path) == Counter(expected)
        await stores.sessions.delete(key())
        assert rows(path) == Counter({"tombstones": 1})


@pytest.fixture
async def schema(path: Path) -> Path:
    async with open_sqlite(path, ManualClock()):
        return path


@pytest.mark.parametrize("name", sorted(set(load_statements()) - WHOLE))
def test_every_statement_searches_by_an_index(schema: Path, name: str) -> None:
    statement = load_statements()[name]
    if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
        return
    named = {"tenant", "user", "agent", "created_at", "session", "limit", "kept"}
    with closing(sqlite3.connect(schema)) as here:
        arguments = dict.fromkeys(named) if ":" in statement else ("",) * statement.count("?")
        plan = [row[3] for row in here.execute(f"EXPLAIN QUERY PLAN {statement}", arguments)]
    assert [
        step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step and "CONSTANT" not in step
    ] == []
