"""The Trainer of Transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.interop.plan import BASE, NUM_UPDATES, make_scheduler, planned
from tests.recording import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pin_memory.*:UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


class Rows(Dataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(1), "labels": torch.zeros(1)}


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.layer(x) - labels).square().mean()}


class StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_training_stop = state.global_step >= self.step
        return control


class Run:
    """A Trainer on tiny data, with a record of what its updates ran with."""

    def __init__(
        self, folder: Path, num_rows: int, make: Any = make_scheduler, **options: Any
    ) -> None:
        callbacks = options.pop("callbacks", [])
        model = Model()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
        self.recorder = Recorder(self.optimizer)
        self.scheduler = make(self.optimizer)
        arguments = {
            "output_dir": str(folder),
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
            "logging_steps": 1,
            "per_device_train_batch_size": 2,
            "save_strategy": "no",
            "dataloader_pin_memory": False,
            **options,
        }
        self.trainer = Trainer(
            model,
            TrainingArguments(**arguments),
            train_dataset=Rows(num_rows),
            optimizers=(self.optimizer, self.scheduler),
            callbacks=callbacks,
        )

    def train(self, **options: Any) -> list[float]:
        self.trainer.train(**options)
        return [values[0] for values in self.recorder.used] + self.scheduler.get_last_lr()

    def logged(self) -> list[float]:
        history = self.trainer.state.log_history
        return [entry["learning_rate"] for entry in history if "learning_rate" in entry]


@pytest.mark.parametrize(("accumulation", "epochs"), [(1, 1), (1, 2), (2, 2), (3, 4)])
def test_each_update_runs_with_the_planned_value(
    accumulation: int, epochs: int, tmp_path: Path
) -> None:
    run = Run(
        tmp_path,
        num_rows=2 * accumulation * NUM_UPDATES // epochs,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
    )
    assert run.train() == planned()
    assert run.scheduler.num_updates == run.trainer.state.global_step == NUM_UPDATES


def test_the_logged_rate_is_what_the_update_ran_with(tmp_path: Path) -> None:
    run = Run(tmp_path, num_rows=16, num_train_epochs=1)
    run.train()
    assert run.logged() == planned()[:-1]


@pytest.mark.parametrize("position", [3, 4])
def test_going_on_from_a_checkpoint(position: int, tmp_path: Path) -> None:
    options = {"num_rows": 8, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 1}
    first = Run(tmp_path, **options, callbacks=[StopAt(position)])
    assert first.train() == planned(0, position)
    second = Run(tmp_path, **options)
    checkpoint = str(tmp_path / f"checkpoint-{position}")
    assert second.train(resume_from_checkpoint=checkpoint) == planned(position)
    assert second.logged() == planned()[:-1]


@pytest.mark.filterwarnings("ignore:ParamScheduler at update 4")
def test_a_longer_plan_is_in_force_right_after_resuming(tmp_path: Path) -> None:
    def short(optimizer: Any) -> ParamScheduler:
        return ParamScheduler(optimizer, lr=linear(4, end=0.0))

    def long(optimizer: Any) -> ParamScheduler:
        return ParamScheduler(optimizer, lr=linear(8, end=0.0))

    options = {"num_rows": 8, "save_strategy": "steps", "save_steps": 4}
    Run(tmp_path, **options, make=short, num_train_epochs=1).train()
    resumed = Run(tmp_path, **options, make=long, num_train_epochs=2)
    # Transformers keeps warnings that come while it loads to itself, ours about the plan too.
    used = resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert used == [linear(8, end=0.0)(k, base=BASE) for k in range(4, 9)]
