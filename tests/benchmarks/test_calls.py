"""What a reader follows stays short: the number of functions is counted, and has limits."""

from __future__ import annotations

import pytest

from benchmarks import calls
from pytorch_accelerated.schedulers import CosineLrScheduler


@pytest.mark.parametrize(
    ("create", "limit"), [(CosineLrScheduler.create_scheduler_fn(), 30), (calls.HalfCosine, 40)]
)
def test_an_update_is_few_calls_into_the_package(create, limit):
    counted = calls.update(create)
    assert counted.total() <= limit, counted
    files = {file for file, _ in counted}
    assert {"run/loop.py", "run/run.py", "trainer.py"} <= files


def test_a_resume_is_counted_up_to_the_first_batch():
    names = {name.partition(":")[0] for _, name in calls.resume()}
    assert {"train", "load_state_dict", "train_pass"} <= names
    assert names.isdisjoint({"forward_and_backward", "after_update"})
