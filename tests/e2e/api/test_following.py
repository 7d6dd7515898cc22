"""Following runs and sessions: from the beginning, from any event, from anywhere in the log."""

import asyncio

import pytest

from tests.e2e.api.talk import Talk, watch
from tests.support.http import Client
from tests.support.viewer import Viewer


async def test_a_run_resumes_after_any_event(talk: Talk) -> None:
    """Cut off after each record, a viewer that reconnects by its last id misses nothing and gets nothing twice."""
    _, whole = await talk.say("/write a.txt hello")
    run = whole.records[0]["run_id"]
    birth = (whole.last_id or "").partition(".")[0]
    for record in whole.records:
        seen = await talk.follow(run, f"{birth}.{record['seq']}")
        assert seen.records == [later for later in whole.records if later["seq"] > record["seq"]]


async def test_a_viewer_that_keeps_losing_its_connection_sees_all(talk: Talk) -> None:
    run = await talk.start("/write a.txt hello\n/help")
    viewer, path, cuts = Viewer(), f"/v1/runs/{run}/events", 0
    while not viewer.of_type("run.finished"):
        headers = {"Last-Event-ID": viewer.last_id} if viewer.last_id else {}
        async with talk.api.stream("GET", path, headers=headers) as (_, events):
            viewer.reconnect()
            for _ in range(4):
                event = await anext(events, None)
                if event is not None:
                    viewer.apply(event)
        cuts += 1
    assert cuts > 3
    assert viewer.status == "completed"
    assert [record["seq"] for record in viewer.records] == [r["seq"] for r in (await talk.follow(run)).records]


async def test_after_is_a_bare_seq_and_the_header_wins(talk: Talk) -> None:
    _, whole = await talk.say("hi")
    run, last = whole.records[0]["run_id"], whole.records[-1]["seq"]
    birth = (whole.last_id or "").partition(".")[0]
    for headers, first in (({}, last), ({"Last-Event-ID": f"{birth}.{last - 2}"}, last - 1)):
        path = f"/v1/runs/{run}/events?after={last - 1}"
        async with talk.api.stream("GET", path, headers=headers) as (_, events):
            assert (await watch(events)).records[0]["seq"] == first


async def test_after_takes_an_event_id_too(talk: Talk) -> None:
    _, whole = await talk.say("hi")
    run, record = whole.records[0]["run_id"], whole.records[1]
    birth = (whole.last_id or "").partition(".")[0]
    async with talk.api.stream("GET", f"/v1/runs/{run}/events?after={birth}.{record['seq']}") as (_, events):
        assert (await watch(events)).records == whole.records[2:]
    assert (await talk.api.get(f"/v1/runs/{run}/events?after=nonsense")).code == "bad_cursor"


async def test_a_repeated_post_goes_on_after_the_last_event_id(talk: Talk) -> None:
    body = {"input": "hi", "metadata": {"colour": "blue"}}
    headers = {"Idempotency-Key": "again"}
    async with talk.api.stream("POST", f"{talk.path}/runs", json=body, headers=headers) as (_, events):
        whole = await watch(events)
    birth = (whole.last_id or "").partition(".")[0]
    seen = {**headers, "Last-Event-ID": f"{birth}.{whole.records[1]['seq']}"}
    async with talk.api.stream("POST", f"{talk.path}/runs", json=body, headers=seen) as (_, events):
        assert (await watch(events)).records == whole.records[2:]
    run = (await talk.api.get(f"/v1/runs/{whole.records[0]['run_id']}")).json
    assert run["metadata"] == {"colour": "blue"}


async def test_a_finished_run_seen_to_its_end_has_an_empty_stream(talk: Talk) -> None:
    _, whole = await talk.say("hi")
    seen = await talk.follow(whole.records[0]["run_id"], whole.last_id)
    assert (seen.names, seen.records) == ([], [])


@pytest.mark.parametrize("cursor", ["anotherbirth.3", "anotherbirth.3:1.4", "{birth}.9999"])
async def test_a_cursor_of_another_log_is_a_reset(talk: Talk, cursor: str) -> None:
    _, whole = await talk.say("hi")
    birth = (whole.last_id or "").partition(".")[0]
    seen = await talk.follow(whole.records[0]["run_id"], cursor.format(birth=birth))
    assert seen.names[0] == "reset"
    assert seen.records == whole.records


async def test_a_sessions_stream_goes_on_over_its_runs(api: Client, talk: Talk) -> None:
    await talk.say("one")
    async with api.stream("GET", f"{talk.path}/events") as (head, events):
        assert head.headers["X-Session-Id"] == talk.session
        assert "X-Run-Id" not in head.headers
        viewer = await watch(events, Viewer(whole_session=True), until="run.finished")
        await talk.start("two")
        await watch(events, viewer, until="run.finished")
    assert [record["seq"] for record in viewer.records] == list(range(1, len(viewer.records) + 1))
    assert [record["status"] for record in viewer.of_type("run.finished")] == ["completed"] * 2


async def test_many_viewers_see_the_same(api: Client, talk: Talk) -> None:
    run = await talk.start("/write a.txt hello")
    async with asyncio.TaskGroup() as group:
        viewers = [group.create_task(talk.follow(run)) for _ in range(12)]
    assert len({str(viewer.result().records) for viewer in viewers}) == 1
    assert (await api.get(f"/v1/runs/{run}")).json["status"] == "completed"


async def test_the_stream_of_a_deleted_session_ends(api: Client, talk: Talk) -> None:
    await talk.say("hi")
    async with api.stream("GET", f"{talk.path}/events") as (_, events), asyncio.timeout(10):
        await watch(events, until="run.finished")
        assert (await api.delete(talk.path)).status == 204
        rest = await watch(events)
    assert set(rest.names) <= {"reset"}


async def test_trap_a_stopped_stream_ended_without_a_closing_event(talk: Talk) -> None:
    """The stream of a cancelled run ends with `run.finished`, as every run's does."""
    async with talk.api.stream("POST", f"{talk.path}/runs", json={"input": "/help"}) as (head, events):
        viewer = await watch(events, until="delta")
        run = head.headers["X-Run-Id"]
        assert (await talk.api.post(f"/v1/runs/{run}/cancel")).status == 200
        await watch(events, viewer)
    assert viewer.status == "cancelled"
    assert viewer.names[-1] == "run.finished"


async def test_trap_replay_was_not_scoped_to_its_session(api: Client, talk: Talk) -> None:
    """A cursor from one session shows nothing of it in another."""
    _, seen = await talk.say("my secret")
    other = Talk(api)
    run = await other.start("something else")
    found = await other.follow(run, seen.last_id)
    assert found.names[0] == "reset"
    assert "secret" not in str(found.records)
