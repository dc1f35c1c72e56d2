"""Two processes, launched once: every process runs each update with the planned value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interop.plan import BASE, NUM_UPDATES, planned
from tests.interop.two_processes import ACCELERATE
from tests.launching import forked

#: A prepared scheduler is stepped once for each process, unless batches are split among them.
MULTIPLIED = {
    name
    for name, options in ACCELERATE.items()
    if options["prepared"] and options["linked"] and not options["split"]
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of each process."""
    folder = tmp_path_factory.mktemp("processes")
    forked(2, "tests.interop.two_processes", folder, seconds=200)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_ddp(processes: Any) -> None:
    for results in processes:
        assert results["ddp"] == [[value] for value in planned()[:-1]]


@pytest.mark.parametrize("case", ["fsdp2", "fsdp2_with_a_checkpoint"])
def test_fsdp2(processes: Any, case: str) -> None:
    groups = zip(planned(base=2 * BASE)[:-1], planned()[:-1], strict=True)
    expected = [list(values) for values in groups]
    for results in processes:
        assert results[case] == expected


@pytest.mark.parametrize("name", [name for name in ACCELERATE if name not in MULTIPLIED])
def test_accelerate_is_exact(processes: Any, name: str) -> None:
    for results in processes:
        assert results[name]["used"] == planned()
        assert results[name]["count"] == NUM_UPDATES
        assert results[name]["warnings"] == []


@pytest.mark.parametrize("name", sorted(MULTIPLIED))
def test_accelerate_steps_for_each_process_and_a_warning_says_what_to_write(
    processes: Any, name: str
) -> None:
    for results in processes:
        assert results[name]["count"] == 2 * NUM_UPDATES
        (warning,) = results[name]["warnings"]
        assert "2 times an update" in warning
        assert "if accelerator.sync_gradients and not" in warning


def test_a_monitor_says_that_it_is_stepped_for_each_process(processes: Any) -> None:
    for results in processes:
        first, second = results["watched"]["warnings"]
        assert "2 times an update" in first
        assert second.startswith("Monitor at update 1:")
        assert "stepped 2 times an update" in second
        assert "once for each process" in results["watched"]["summary"]


def test_accelerate_with_skipped_updates(processes: Any) -> None:
    for results in processes:
        assert results["overflows"]["used"] == planned()


def test_the_matrix_has_both_outcomes() -> None:
    assert 0 < len(MULTIPLIED) < len(ACCELERATE)
