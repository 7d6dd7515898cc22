"""The state machine can fail: it notices every mistake that was put into the protocol, and none that was not."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.core.errors import BatonError
from tests.contracts.backends import MemoryBackend
from tests.properties.machine import machine_over
from tests.properties.mutations import MUTATIONS, mutated

SEEDED = settings(
    max_examples=1500,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
"""The same examples each time; a mistake is noticed within the first 200, mostly within 20."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_in_the_protocol_is_noticed(name: str) -> None:
    with mutated(name), pytest.raises((AssertionError, BatonError)):
        run_state_machine_as_test(machine_over(MemoryBackend), settings=SEEDED)


def test_without_a_mistake_the_same_examples_pass() -> None:
    short = settings(SEEDED, max_examples=200)
    run_state_machine_as_test(machine_over(MemoryBackend), settings=short)
