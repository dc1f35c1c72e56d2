"""What the tests of the laws share: each kind of scheduler, and optimizers for all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import StatefulSchedulerBase
from tests.recording import adamw, held, plain
from tests.schedulers.examples import (
    STATEFUL,
    STATELESS,
    Example,
)

every_stateful = pytest.mark.parametrize("example", STATEFUL, ids=repr)
every_pure = pytest.mark.parametrize("example", [e for e in STATEFUL if e.pure], ids=repr)
every_built_in = pytest.mark.parametrize("example", [e for e in STATEFUL if e.built_in], ids=repr)
every_stateless = pytest.mark.parametrize("example", STATELESS, ids=repr)
every_one = pytest.mark.parametrize("example", STATEFUL + STATELESS, ids=repr)
every_plan = pytest.mark.parametrize(
    "example", [e for e in STATEFUL + STATELESS if e.built_in], ids=repr
)

bases = st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=3)
positions = st.integers(0, 50)
dtypes = st.sampled_from([None, torch.float32, torch.float64])


def optimizer_for(own_bases: list[float], dtype: torch.dtype | None = None) -> torch.optim.AdamW:
    """Return an optimizer whose scheduled fields are floats, or tensors of a type."""
    optimizer = adamw(own_bases, weight_decay=0.3)
    for group in optimizer.param_groups if dtype else ():
        fill_with_tensors(group, dtype)
    return optimizer


def fill_with_tensors(group: dict[str, Any], dtype: torch.dtype) -> None:
    group["lr"], group["weight_decay"], *betas = (
        torch.tensor(number, dtype=dtype)
        for number in (group["lr"], group["weight_decay"], *group["betas"])
    )
    group["betas"] = tuple(betas)


def step(scheduler: Any, num_updates: int) -> None:
    """Put the values for update ``num_updates`` in force, one after the last ones."""
    if hasattr(scheduler, "step"):
        scheduler.step()
    else:
        scheduler.step_update(num_updates)


def contents(optimizer: Any) -> Any:
    """Return all that the groups hold, and which tensors it is in."""
    return repr(
        [
            [(key, id(value) if isinstance(value, torch.Tensor) else None, plain(value))]
            for group in optimizer.param_groups
            for key, value in group.items()
            if key != "params"
        ]
    )


def value(
    example: Example, own_bases: list[float], num_updates: int, dtype: torch.dtype | None = None
) -> list[Any]:
    """Return the value of update ``num_updates``, asked of a scheduler that never stepped."""
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    scheduler.step_update(num_updates)
    return held(optimizer, example.field)


class Returns(StatefulSchedulerBase):
    """A user's scheduler that returns whatever it was given, from the first step on."""

    def __init__(self, optimizer: Any, returned: Any, field: str = "lr") -> None:
        super().__init__(optimizer, field)
        self.returned = [returned]

    def get_updated_values(self, num_updates: int) -> Any:
        return self.returned[0] if num_updates else None
