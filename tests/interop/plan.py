"""The plan that every framework has to run exactly."""

from __future__ import annotations

from typing import Any

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear

BASE = 0.1
NUM_UPDATES = 8
PLAN = linear(3, start=0.25) >> cosine(5, end=0.0)

#: The same as text whose lengths are of a run of so many updates, with a weight decay beside it.
TEXTS = {"lr": "linear(3, start=0.25) >> cosine(end=0.0)", "weight_decay": "linear(end=0.0)"}
DECAY = 0.4


def planned(start: int = 0, stop: int = NUM_UPDATES, base: float = BASE) -> list[float]:
    """What the updates from ``start`` on have to run with, and what is in force at ``stop``."""
    return [PLAN(k, base=base) for k in range(start, stop + 1)]


def planned_decay(start: int = 0, stop: int = NUM_UPDATES) -> list[float]:
    """What `planned` says of the weight decay."""
    return [linear(NUM_UPDATES, end=0.0)(k, base=DECAY) for k in range(start, stop + 1)]


def make_scheduler(optimizer: Any) -> ParamScheduler:
    return ParamScheduler(optimizer, lr=PLAN)
