"""Failures known from Hydra, by the ids of the table."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import OmegaConf

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.recording import sgd

FROM = "pytorch_accelerated.schedules"


def test_f76_schedules_in_lists_and_dictionaries_are_built_as_they_are_written() -> None:
    warmup = {"_target_": f"{FROM}.linear", "length": 2, "start": 0.0}
    both = {
        "_target_": "operator.rshift",
        "_args_": [warmup, {"_target_": f"{FROM}.cosine", "length": 8}],
    }
    expected = linear(2, start=0.0) >> cosine(8)
    target = "pytorch_accelerated.schedulers.ParamScheduler"
    for plan in ([both, warmup], {0: both, 1: warmup}):
        scheduler = instantiate(
            OmegaConf.create({"_target_": target, "lr": plan}), optimizer=sgd([1.0, 1.0])
        )
        assert isinstance(scheduler, ParamScheduler)
        planned = scheduler.schedules["lr"]
        assert (planned[0], planned[1]) == (expected, linear(2, start=0.0))
