"""The order in which ready sessions of several tenants may run."""

from collections.abc import Iterator
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import AgentId, Birth, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.fairness import Waiting, fairly
from app.stores.head import Head


def waiting(tenant: str, ready_at: float) -> Waiting:
    key = SessionKey(TenantId(tenant), UserId("u"), AgentId("a"), SessionId(f"{tenant}{ready_at:g}"))
    return key, Head(birth=Birth("b"), created_at=0.0, updated_at=0.0, ready_at=ready_at)


def order(queues: dict[str, list[int]], running: dict[str, int] | None = None) -> list[str]:
    line = [[waiting(tenant, at) for at in ages] for tenant, ages in queues.items()]
    counts = {TenantId(tenant): count for tenant, count in (running or {}).items()}
    return [key.session for key, _ in fairly(line, counts)]


def test_nobody_waits() -> None:
    assert order({}) == order({"a": []}) == []


def test_one_tenant_goes_by_age() -> None:
    assert order({"a": [1, 2, 3]}) == ["a1", "a2", "a3"]


def test_tenants_take_turns_whoever_was_first() -> None:
    assert order({"a": [1, 2, 3, 4], "b": [5]}) == ["a1", "b5", "a2", "a3", "a4"]
    assert order({"b": [5], "a": [1, 2]}) == ["a1", "b5", "a2"]


def test_what_runs_already_counts() -> None:
    assert order({"a": [1, 2], "b": [3, 4, 5]}, {"a": 2}) == ["b3", "b4", "a1", "b5", "a2"]


def test_at_equal_shares_age_decides() -> None:
    assert order({"a": [2, 3], "b": [1, 4]}) == ["b1", "a2", "a3", "b4"]


def test_a_tenant_that_runs_much_waits_for_ever_smaller_ones_only() -> None:
    assert order({"a": [1], "b": [2]}, {"a": 100, "b": 99}) == ["b2", "a1"]


def test_queues_are_read_only_as_far_as_they_are_used() -> None:
    read: list[int] = []

    def endless() -> Iterator[Waiting]:
        for number in range(1_000_000):
            read.append(number)
            yield waiting("a", number)

    assert len(list(islice(fairly([endless()], {}), 3))) == 3
    assert len(read) <= 4


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 9), unique=True).map(sorted)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
)
def test_each_choice_is_the_fewest_then_the_oldest(queues: dict[str, list[int]], running: dict[str, int]) -> None:
    left = {tenant: list(ages) for tenant, ages in queues.items() if ages}
    counts = {tenant: running.get(tenant, 0) for tenant in left}
    for chosen in order(queues, running):
        tenant, age = chosen[0], int(chosen[1:])
        best = min((counts[other], ages[0], other) for other, ages in left.items())
        assert (counts[tenant], age) == best[:2]
        assert left[tenant].pop(0) == age
        counts[tenant] += 1
        left = {other: ages for other, ages in left.items() if ages}
    assert not left
