"""Failures known from several processes, by the ids of the table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytorch_accelerated.schedules import cosine, linear
from tests.launching import forked


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of each process."""
    folder = tmp_path_factory.mktemp("processes")
    forked(2, "tests.gallery.two_processes", folder, seconds=200)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_f26_a_plan_is_the_same_on_any_number_of_processes(processes: Any) -> None:
    for results in processes:
        assert results["ours"] == [linear(8, end=0.0)(k) for k in range(9)]


@pytest.mark.peer
def test_f26_peer_accelerate_is_done_at_half_time(processes: Any) -> None:
    for results in processes:
        assert results["native"][4:] == pytest.approx([0.0] * 5)
        assert results["native"][3] > 0


def test_f48_the_trainers_default_length_is_that_of_the_run(processes: Any) -> None:
    for results in processes:
        assert results["trainer"] == [cosine(8, end=0.0)(k) for k in range(9)]


def test_f55_a_limit_counts_updates_on_every_process(processes: Any) -> None:
    for results in processes:
        assert results["limit"] == [linear(6, end=0.0)(k) for k in range(7)]
