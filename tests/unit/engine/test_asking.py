"""However many want to know what an owner shows, it is asked once at a time, and nobody gets an old answer."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.engine.asking import Asking
from app.stores.bus import OpenItems
from tests.contracts.scenes import key

KEY = key()


class Owner:
    """Answers as many questions as the test lets through; each answer bears its question's number."""

    def __init__(self) -> None:
        self.asked = 0
        self.lets = asyncio.Semaphore(0)
        self.failure: Exception | None = None

    async def put(self, key: SessionKey) -> OpenItems | None:
        self.asked += 1
        number = self.asked
        await self.lets.acquire()
        if self.failure is not None:
            raise self.failure
        return OpenItems(Birth("b"), 1, 1, number, ())


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def asking(owner: Owner) -> AsyncGenerator[Asking, None]:
    async with Tasks() as tasks:
        yield Asking(owner.put, tasks)


def ask(asking: Asking, where: SessionKey = KEY) -> asyncio.Task[OpenItems | None]:
    return asyncio.get_running_loop().create_task(asking.ask(where))


async def spin() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def number(answer: asyncio.Task[OpenItems | None]) -> int:
    async with asyncio.timeout(1):
        items = await answer
    assert items is not None
    return items.d


async def test_a_thousand_followers_ask_twice_at_most(asking: Asking, owner: Owner) -> None:
    first = ask(asking)
    await spin()
    others = [ask(asking) for _ in range(999)]
    owner.lets.release()
    owner.lets.release()
    assert await number(first) == 1
    assert {await number(other) for other in others} == {2}
    assert owner.asked == 2


async def test_who_comes_while_a_question_is_on_its_way_gets_the_answer_to_the_next_one(
    asking: Asking, owner: Owner
) -> None:
    answers: list[asyncio.Task[OpenItems | None]] = []
    for _ in range(3):
        answers.append(ask(asking))
        await spin()
        assert owner.asked == 1
    owner.lets.release()
    await spin()
    answers.append(ask(asking))
    for _ in range(2):
        owner.lets.release()
    assert [await number(answer) for answer in answers] == [1, 2, 2, 3]


async def test_sessions_do_not_wait_for_each_other(asking: Asking, owner: Owner) -> None:
    answers = [ask(asking), ask(asking, key("other"))]
    await spin()
    assert owner.asked == 2
    for _ in answers:
        owner.lets.release()
    assert [await number(answer) for answer in answers] == [1, 2]


async def test_who_leaves_takes_nobody_along(asking: Asking, owner: Owner) -> None:
    first, second = ask(asking), ask(asking)
    await spin()
    first.cancel()
    await spin()
    owner.lets.release()
    assert await number(second) == 1


async def test_a_question_that_fails_is_one_that_nobody_answers(
    asking: Asking, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    owner.failure = RuntimeError("a bug")
    owner.lets.release()
    assert await ask(asking) is None
    assert "could not ask the owner" in caplog.text
    owner.failure = None
    owner.lets.release()
    assert await number(ask(asking)) == 2
