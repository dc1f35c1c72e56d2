"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.launching import MEASURES

# Tests run side by side, one for each core; threads of their own would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ACCELERATE_USE_CPU", "1")

# How long an example takes decides nothing. In CI the same examples are tried each time, so that
# a change is judged by what it changes.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Have the processes that tests fork measured, too."""
    if config.getoption("cov_source", None):
        os.environ[MEASURES] = "1"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave helpers and scripts alone: doctests are looked for in the package only."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper and "tests" in collection_path.parts else None


# What takes longest comes first: if it came last, one worker would wait for the other.
FIRST = (
    "test_processes.py",
    "test_api_reference.py",
    "test_killed.py",
    "test_documentation.py",
    "test_exact_resume.py",
    "test_examples.py",
    "test_two_processes.py",
    "test_callbacks_distributed.py",
)


# What runs the same lines again and again, or those of other libraries: measuring which lines run
# would take half as long again, and add none that other tests do not run.
NOT_MEASURED = {
    *("benchmarks", "browser", "fuzz", "gallery", "test_coming_from.py", "test_conformance.py"),
    *("test_accuracy.py", "test_properties.py", "test_random_plans.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and measure only where it tells something."""
    place = {name: index for index, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(FIRST)))
    for item in items:
        if NOT_MEASURED & {item.path.name, item.path.parent.name}:
            item.add_marker("no_cover")


@pytest.fixture
def own_accelerator_state():
    """Accelerate keeps the kind of mixed precision for as long as the process lives."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
