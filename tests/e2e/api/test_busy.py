"""A session that is busy: the four policies, cancelling, and repeating a request."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.api.conftest import CONTRACT
from tests.e2e.api.provided import forget, provided
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.provider import FakeProvider, Pause, Reply, Step, answer, chunk, sse
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

Place = tuple[FakeProvider, Server]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Place, None]:
    async with provided(tmp_path_factory.mktemp("busy")) as place:
        yield place


@pytest_asyncio.fixture(loop_scope="module")
async def model(place: Place) -> AsyncIterator["Model"]:
    model = Model(place[0])
    yield model
    model.gate.set()


@pytest_asyncio.fixture(loop_scope="module")
async def held(place: Place, model: "Model") -> AsyncIterator[Talk]:
    """A session with a run that answers `Hel`, and `lo` once the gate is open."""
    async with Client.of(place[1].url, contract=CONTRACT) as client:
        talk = Talk(client)
        model.hold()
        model.run = await talk.start("first")
        await model.provider.arrival()
        yield talk
        await talk.api.delete(talk.path)


class Model:
    """The provider, with one answer that is held back."""

    def __init__(self, provider: FakeProvider) -> None:
        self.provider, self.gate, self.run = provider, asyncio.Event(), ""
        forget(provider)

    def hold(self) -> None:
        """The next answer stops in the middle."""
        first, last = answer("Hel").steps[:2], answer("lo").steps[1:]
        steps: list[Step] = [*first, self.gate, *last]
        self.provider.add(Reply(steps=steps))

    def heard(self) -> list[str]:
        """Gives what people said in the last request."""
        return [str(message["content"]) for message in self.provider.requests[-1].body["messages"][1:]]


async def test_enqueue_waits_its_turn(held: Talk, model: Model) -> None:
    run = await held.start("second")
    view = (await held.api.get(held.path)).json
    assert (view["status"], view["run_id"], view["queued"]) == ("owned", model.run, [run])
    assert (await held.api.get(f"/v1/runs/{run}")).json["status"] == "queued"
    model.provider.add(answer("Fine."))
    model.gate.set()
    assert (await held.follow(run)).status == "completed"
    assert await held.said() == [("user", "first"), ("user", "second"), ("assistant", "Hello"), ("assistant", "Fine.")]
    assert model.heard() == ["first", "Hello", "second"]


async def test_reject_names_the_run_in_the_way(held: Talk, model: Model) -> None:
    refused = await held.post("second", on_busy="reject")
    assert (refused.status, refused.code, refused.json["run_id"]) == (409, "session_busy", model.run)
    model.gate.set()
    assert (await held.follow(model.run)).status == "completed"
    assert [text for _, text in await held.said()] == ["first", "Hello"]
    model.provider.add(answer("Fine."))
    assert (await held.result("third", on_busy="reject"))["output"] == "Fine."


async def test_interrupt_cancels_the_active_run_and_comes_next(held: Talk, model: Model) -> None:
    model.provider.add(answer("Fine."))
    assert (await held.result("second", on_busy="interrupt"))["output"] == "Fine."
    first = await held.follow(model.run)
    assert first.status == "cancelled"
    assert first.of_type("message.appended")[0]["message"]["incomplete"] is True
    assert (await model.provider.arrival(1)).gone.is_set()
    assert [text for _, text in await held.said()] == ["first", "second", "Hel", "Fine."]


async def test_steer_joins_the_active_run(held: Talk, model: Model) -> None:
    answered = await held.post("second", on_busy="steer", background=True)
    assert (answered.status, answered.json["run_id"]) == (202, model.run)
    model.provider.add(answer("Both, then."))
    model.gate.set()
    seen = await held.follow(model.run)
    assert seen.status == "completed"
    assert [record["input"][0]["text"] for record in seen.of_type("input.steered")] == ["second"]
    assert model.heard() == ["first", "Hello", "second"]
    assert [text for _, text in await held.said()] == ["first", "second", "Hello", "Both, then."]


async def test_a_steered_input_can_be_followed_by_its_own_name(held: Talk, model: Model) -> None:
    await held.post("second", on_busy="steer", background=True)
    model.provider.add(answer("Both, then."))
    model.gate.set()
    seen = await held.follow(model.run)
    joined = seen.of_type("input.steered")[0]
    view = (await held.api.get(f"/v1/runs/{joined['input_id']}")).json
    assert (view["status"], view["joined"]) == ("joined", model.run)
    birth = (seen.last_id or "").partition(".")[0]
    later = await held.follow(joined["input_id"], f"{birth}.{joined['seq']}")
    assert later.records == [record for record in seen.records if record["seq"] > joined["seq"]]


async def test_a_steered_input_gets_the_result_of_the_run_it_joined(held: Talk, model: Model) -> None:
    model.provider.add(answer("Both, then."))
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(held.result("second", on_busy="steer"))
        await held.until("input.steered")
        model.gate.set()
    assert (asked.result()["run_id"], asked.result()["output"]) == (model.run, "Both, then.")


async def test_the_queue_is_bounded(held: Talk, model: Model) -> None:
    answers = [await held.post(f"input {number}", background=True) for number in range(33)]
    assert [made.status for made in answers] == [202] * 32 + [429]
    assert (answers[-1].code, answers[-1].headers["Retry-After"]) == ("queue_full", "5")
    for made in answers[:-1]:
        cancelled = await held.api.post(f"{made.headers['Location']}/cancel")
        assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    model.gate.set()
    assert (await held.follow(model.run)).status == "completed"
    assert len(model.provider.requests) == 1


async def test_cancelling_keeps_what_was_shown(held: Talk, model: Model) -> None:
    assert (await held.api.post(f"/v1/runs/{model.run}/cancel")).status == 200
    seen = await held.follow(model.run)
    assert seen.status == "cancelled"
    assert await held.said() == [("user", "first"), ("assistant", "Hel")]
    again = await held.api.post(f"/v1/runs/{model.run}/cancel")
    assert (again.status, again.json["status"]) == (200, "cancelled")
    model.provider.add(answer("Fine."))
    assert (await held.result("second"))["output"] == "Fine."


async def test_cancelling_a_finished_run_changes_nothing(held: Talk, model: Model) -> None:
    model.gate.set()
    await held.follow(model.run)
    before = (await held.api.get(f"/v1/runs/{model.run}")).json
    cancelled = await held.api.post(f"/v1/runs/{model.run}/cancel")
    assert (cancelled.status, cancelled.json) == (200, before)
    assert before["status"] == "completed"


async def test_deleting_a_busy_session_ends_its_run(held: Talk, model: Model) -> None:
    assert (await held.api.delete(held.path)).status == 204
    async with asyncio.timeout(10):
        await model.provider.requests[0].gone.wait()
    assert (await held.api.get(f"/v1/runs/{model.run}")).code == "run_not_found"


async def test_a_repeated_request_is_the_same_run(held: Talk, model: Model) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await held.post("second", headers=key, background=True)
    again = await held.post("second", headers=key, background=True)
    assert first.json["run_id"] == again.json["run_id"]
    model.provider.add(answer("Fine."))
    model.gate.set()
    head, seen = await held.say("second", headers=key)
    assert (head.headers["X-Run-Id"], seen.status) == (first.json["run_id"], "completed")
    later = await held.post("second", headers=key, stream=False)
    assert (later.json["run_id"], later.json["output"]) == (first.json["run_id"], "Fine.")
    assert len(model.provider.requests) == 2


async def test_an_idempotency_key_is_for_one_request(held: Talk) -> None:
    key = {"Idempotency-Key": "k-1"}
    await held.post("second", headers=key, background=True)
    others: list[tuple[str, dict[str, Any]]]
    others = [("third", {}), ("second", {"metadata": {"a": "b"}}), ("second", {"on_busy": "steer"})]
    for text, more in others:
        other = await held.post(text, headers=key, background=True, **more)
        assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_without_a_session_the_key_names_it(place: Place, model: Model) -> None:
    async with Client.of(place[1].url, {"Idempotency-Key": f"k-{id(model)}"}, CONTRACT) as api:
        model.provider.add(answer("Fine."))
        async with asyncio.TaskGroup() as group:
            body = {"input": "hi", "stream": False}
            posts = [group.create_task(api.post("/v1/chat", json=body)) for _ in range(5)]
        answers = [post.result().json for post in posts]
        assert len({(made["session_id"], made["run_id"], made["output"]) for made in answers}) == 1
        assert answers[0]["output"] == "Fine."
        assert len(model.provider.requests) == 1
        mismatch = await api.post("/v1/chat", json={"input": "ho"})
        assert (mismatch.status, mismatch.code) == (422, "idempotency_mismatch")


async def test_trap_two_browsers_talk_to_one_session_at_once(held: Talk, model: Model) -> None:
    """Inputs that arrive together in one session are each answered once, one after the other."""
    for number in range(6):
        model.provider.add(Reply(steps=[sse(chunk({"content": str(number)})), Pause(0.02), *answer("!").steps]))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(held.result(f"input {number}")) for number in range(6)]
        model.gate.set()
    assert sorted(task.result()["output"] for task in asked) == [f"{number}!" for number in range(6)]
    roles = [role for role, _ in await held.said()]
    assert (roles.count("user"), roles.count("assistant")) == (7, 7)
