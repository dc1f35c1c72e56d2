"""Failures known from the Trainer of Transformers, by the ids of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainingArguments, get_scheduler

from pytorch_accelerated.schedulers import ParamScheduler, SchedulerWarning
from pytorch_accelerated.schedules import cosine, linear
from tests.gallery.test_pytorch import used
from tests.interop.test_transformers import Model, Rows, pytestmark  # noqa: F401
from tests.recording import held, sgd, train

peer = pytest.mark.peer


def resumed(old_base: float, new_base: float, old: int, new: int) -> tuple[Any, Any]:
    """Half of a linear decay; then fresh objects with another base and length go on from it."""
    optimizer = sgd([old_base])
    scheduler = ParamScheduler(optimizer, lr=linear(old, end=0.0))
    train(optimizer, scheduler, 4)
    fresh = sgd([new_base])
    going_on = ParamScheduler(fresh, lr=linear(new, end=0.0))
    fresh.load_state_dict(optimizer.state_dict())
    going_on.load_state_dict(scheduler.state_dict())
    return fresh, going_on


@pytest.mark.filterwarnings("ignore:ParamScheduler at update 4")
def test_f33_a_longer_horizon_counts_from_the_first_update_on() -> None:
    optimizer, scheduler = resumed(1.0, 1.0, old=4, new=8)
    assert used(optimizer, scheduler, 4) == [0.5, 0.375, 0.25, 0.125, 0.0]


def test_f34_a_new_rate_is_not_ignored_silently() -> None:
    with pytest.warns(SchedulerWarning, match=r"initial_lr=0\.05.*0\.1"):
        optimizer, scheduler = resumed(0.1, 0.05, old=8, new=8)
    assert held(optimizer) == [0.05]  # half of 0.1: the restored base counts
    # What the message says to do:
    optimizer.param_groups[0]["initial_lr"] = 0.05
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [linear(8, end=0.0)(5, base=0.05)]


@pytest.mark.parametrize("num_updates", [7, 10, 101])
def test_f35_shares_add_up_to_the_whole(num_updates: int) -> None:
    plan = linear(0.1, start=0.0) >> linear(0.6, end=1.0) >> cosine(0.3, end=0.0)
    fitted = plan.over(num_updates)
    assert fitted.horizon == num_updates
    assert [row.last for row in fitted.phases][-1] == num_updates
    optimizer = sgd([1.0])
    values = used(optimizer, ParamScheduler(optimizer, lr=fitted), num_updates)
    assert max(values) == 1.0
    assert values[-1] == 0.0


@peer
def test_f06_peer_transformers_switches_to_another_schedule_without_a_word() -> None:
    scheduler = get_scheduler("linear", optimizer := sgd([1.0]), 0, 10)
    train(optimizer, scheduler, 4)
    resumed = get_scheduler("polynomial", fresh := sgd([1.0]), 0, 20)
    fresh.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    train(fresh, resumed, 1)
    assert held(optimizer) == pytest.approx([0.6])
    assert held(fresh) == pytest.approx([0.75], abs=1e-3)


@peer
def test_f10_peer_transformers_a_cosine_climbs_back() -> None:
    optimizer = sgd([1.0])
    values = used(optimizer, get_scheduler("cosine", optimizer, 0, 10), 20)
    assert values[10] == pytest.approx(0.0)
    assert values[20] == pytest.approx(1.0)


def hugging_face(folder: Path, **options: Any) -> Any:
    arguments = {
        "output_dir": str(folder),
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 1,
        "per_device_train_batch_size": 2,
        "save_strategy": "steps",
        "save_steps": 4,
        "dataloader_pin_memory": False,
        "lr_scheduler_type": "linear",
        "learning_rate": 1.0,
        **options,
    }
    return Trainer(Model(), TrainingArguments(**arguments), train_dataset=Rows(8))


def logged(trainer: Any) -> list[float]:
    history = trainer.state.log_history
    return [entry["learning_rate"] for entry in history if "learning_rate" in entry]


@peer
def test_f33_peer_transformers_starts_with_the_old_value(tmp_path: Path) -> None:
    hugging_face(tmp_path, max_steps=4).train()
    longer = hugging_face(tmp_path, max_steps=8)
    longer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert logged(longer)[4:] == pytest.approx([0.0, 0.375, 0.25, 0.125])


@peer
def test_f34_peer_transformers_ignores_a_new_rate(tmp_path: Path) -> None:
    hugging_face(tmp_path, max_steps=8, learning_rate=0.1).train()
    changed = hugging_face(tmp_path, max_steps=8, learning_rate=0.05)
    changed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert logged(changed)[4:] == pytest.approx([0.05, 0.0375, 0.025, 0.0125])


@peer
def test_f35_peer_transformers_has_to_be_told_each_length() -> None:
    with pytest.raises((TypeError, ValueError), match="num_decay_steps"):
        get_scheduler("warmup_stable_decay", sgd([1.0]), 1, 10)
