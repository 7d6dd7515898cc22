"""Identifiers have the shapes that others rely on."""

import re

from app.core.ids import RandomIds, RunId, call_id, item_id


def test_tokens_are_fresh_and_may_stand_in_a_url() -> None:
    ids = RandomIds()
    tokens = {ids.token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch("[a-z2-7]{20}", token) for token in tokens)


def test_an_item_is_named_by_run_step_and_index() -> None:
    assert item_id(RunId("run_1_a"), 2, 3) == "run_1_a:2:3"


def test_a_call_id_is_the_same_on_every_replica_and_differs_per_item() -> None:
    first, second = (item_id(RunId("run_1_a"), 0, index) for index in (1, 2))
    assert call_id(first) == call_id(first)
    assert call_id(first) != call_id(second)
    assert re.fullmatch("call_[0-9a-f]{24}", call_id(first))
