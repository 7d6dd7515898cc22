"""A run finishes on the version of its agent that it began with, through edits and restarts."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import AgentNotFound, StoreCorrupt, StoreUnavailable
from app.core.ids import AgentId
from app.engine.catalog import KEPT, SYSTEM_TENANT, AgentCatalog
from tests.unit.catalog.conftest import Write
from tests.unit.catalog.keyvalue import Values

Catalogs = Callable[[], AgentCatalog]
HELPER = AgentId("helper")


async def test_gives_the_current_version_by_name_and_digest(catalog: Catalogs) -> None:
    agents = catalog()
    spec = agents.get(HELPER)
    assert agents.ids() == (HELPER,)
    assert agents.digests() == {HELPER: spec.digest}
    assert await agents.by_digest(spec.digest) == spec


async def test_an_unknown_agent_or_version_is_not_found(catalog: Catalogs) -> None:
    agents = catalog()
    with pytest.raises(AgentNotFound, match="there are helper"):
        agents.get(AgentId("nobody"))
    for published in (False, True):
        if published:
            await agents.publish(Values())
        with pytest.raises(AgentNotFound):
            await agents.by_digest("0" * 64)


async def test_a_run_finds_its_version_after_a_restart_with_newer_files(catalog: Catalogs, write: Write) -> None:
    values, before = Values(), catalog()
    await before.publish(values)
    old = before.get(HELPER)
    write("helper/AGENTS.md", "You help differently.\n")
    after = catalog()
    await after.publish(values)
    assert after.get(HELPER).digest != old.digest
    assert await after.by_digest(old.digest) == old
    reads = values.reads
    assert await after.by_digest(old.digest) == old
    assert values.reads == reads


async def test_publishing_again_changes_nothing(catalog: Catalogs) -> None:
    values = Values()
    await catalog().publish(values)
    first = dict(values.data)
    await catalog().publish(values)
    assert values.data == first
    assert [tenant for tenant, _ in first] == [SYSTEM_TENANT]


async def test_a_version_that_cannot_be_read_is_never_guessed(catalog: Catalogs) -> None:
    values, agents = Values(), catalog()
    await agents.publish(values)
    await values.put(SYSTEM_TENANT, "agents/dead", b'{"id": 3}')
    with pytest.raises(StoreCorrupt):
        await agents.by_digest("dead")


async def test_a_changed_file_is_picked_up_and_stored_first(catalog: Catalogs, write: Write) -> None:
    values, agents = Values(), catalog()
    await agents.publish(values)
    old = agents.get(HELPER)
    await agents.reload()
    assert agents.get(HELPER) is old
    write("helper/agent.yaml", "tools: []\n")
    await agents.reload()
    new = agents.get(HELPER)
    assert new.tools == ()
    assert agents.digests() == {HELPER: new.digest}
    assert await agents.by_digest(old.digest) == old
    assert (SYSTEM_TENANT, f"agents/{new.digest}") in values.data


async def test_a_version_that_was_not_stored_does_not_become_current(catalog: Catalogs, write: Write) -> None:
    values, agents = Values(), catalog()
    await agents.publish(values)
    old = agents.get(HELPER)
    write("helper/AGENTS.md", "New.\n")
    values.down = True
    with pytest.raises(StoreUnavailable):
        await agents.reload()
    assert agents.get(HELPER) == old
    values.down = False
    await agents.reload()
    assert agents.get(HELPER).instructions == "New."


async def test_agents_come_and_go(catalog: Catalogs, write: Write, agents: Path) -> None:
    served = catalog()
    write("second/AGENTS.md", "Me too.\n")
    write("second/agent.yaml", "")
    await served.reload()
    assert served.ids() == (HELPER, "second")
    for path in (agents / "helper").iterdir():
        path.unlink()
    (agents / "helper").rmdir()
    await served.reload()
    assert served.ids() == ("second",)


@pytest.mark.parametrize("text", ["tools: [\n", "tools: [no_such_tool]\n", "modle: x\n"])
async def test_a_file_that_breaks_keeps_its_old_version(
    catalog: Catalogs, write: Write, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    write("second/AGENTS.md", "One.\n")
    write("second/agent.yaml", "")
    agents = catalog()
    old = agents.get(HELPER)
    write("helper/agent.yaml", text)
    write("second/AGENTS.md", "Two.\n")
    await agents.reload()
    await agents.reload()
    assert agents.get(HELPER) == old
    assert agents.get(AgentId("second")).instructions == "Two."
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == [logging.ERROR]
    write("helper/agent.yaml", "tools: []\n")
    await agents.reload()
    assert agents.get(HELPER).tools == ()


async def test_a_directory_that_vanishes_keeps_its_agents(catalog: Catalogs, agents: Path) -> None:
    served = catalog()
    agents.rename(agents.with_name("elsewhere"))
    await served.reload()
    assert served.ids() == (HELPER,)


async def test_trap_caches_never_shrink(catalog: Catalogs, write: Write) -> None:
    """Caches that only grow end the process; of old versions a bounded number stays in memory."""
    values, agents = Values(), catalog()
    await agents.publish(values)
    first = agents.get(HELPER)
    for number in range(KEPT + 5):
        write("helper/AGENTS.md", f"Version {number}.\n")
        await agents.reload()
    reads = values.reads
    assert await agents.by_digest(first.digest) == first
    assert values.reads == reads + 1
