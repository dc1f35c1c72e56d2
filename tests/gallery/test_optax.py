"""Failures known from optax, by the ids of the table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.launching import printed_by

peer = pytest.mark.peer


@pytest.fixture(scope="module")
def runs() -> Any:
    return printed_by("tests.gallery.optax_runs", JAX_PLATFORMS="cpu")


@peer
def test_f29_peer_optax_counts_micro_batches(runs: Any) -> None:
    applied = runs["with_micro_batches"]
    assert applied[3] == pytest.approx(1.0 + 0.75 + 0.5 + 0.25)  # four rates in one update
    assert applied[7] == 0.0


@peer
def test_f42_peer_optax_schedule_free_never_asks_for_the_first_value(runs: Any) -> None:
    assert min(runs["asked"]) == 1
