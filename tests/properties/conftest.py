"""How long hypothesis looks: `BATON_HYPOTHESIS=thorough` looks twenty times as long."""

import os

import pytest
from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("BATON_HYPOTHESIS") == "thorough"

settings.register_profile(
    "baton", deadline=None, max_examples=2000 if THOROUGH else 100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("baton")


@pytest.fixture
def effort() -> int:
    """Gives how many times as many examples as usual to try."""
    return 20 if THOROUGH else 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A thorough look has no time-out."""
    for item in items:
        if THOROUGH and item.path.parent.name == "properties":
            item.add_marker(pytest.mark.timeout(0))
