"""Failures known from whole runs: their data, what they record and save, by the table's ids."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.tracking import GeneralTracker
from torch import nn

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    LogToTrackersCallback,
    ModelEmaCallback,
    StepBasedEvaluationCallback,
    TrainerCallback,
)
from pytorch_accelerated.ema import ModelEma
from pytorch_accelerated.run.data import default_loader_kwargs
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.trainer.tiny import Record, Scale, Stream, make_trainer, mean_output, numbers, ones


def test_f73_a_compiled_forward_is_evaluated_with_the_averaged_weights(tmp_path: Path) -> None:
    model = Scale()
    model.forward = torch.compile(model.forward, backend="eager")  # type: ignore[method-assign]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    average = ModelEmaCallback(decay=0.5, save_path=tmp_path / "average.pt")
    trainer = Trainer(model, mean_output, optimizer, callbacks=[average])
    trainer.train(ones(4), 1, eval_dataset=ones(4), per_device_batch_size=4)
    history = trainer.run_history
    raw, averaged = (
        history.get_latest_metric(name) for name in ("eval_loss_epoch", "ema_model_eval_loss_epoch")
    )
    # The weight went from 0 to −1, and the average half of the way.
    assert (raw, averaged) == (-1.0, -0.5)


def test_f68_the_average_of_a_half_precision_model_moves() -> None:
    model = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.constant_(model.weight, 1.0)
    average = ModelEma(model, decay=0.99)
    nn.init.constant_(model.weight, 1.1)
    for _ in range(2000):
        average.update(model)
    assert average.module.weight.item() == model.weight.item() > 1.09


class Sent(GeneralTracker):
    """Keeps every value that it is sent."""

    name = "sent"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__(_blank=True)
        self.sent: list[tuple[Any, str]] = []

    @property
    def tracker(self) -> list[tuple[Any, str]]:
        return self.sent

    def store_init_configuration(self, values: Any) -> None:
        """Needs no configuration."""

    def log(self, values: Any, step: Any = None, **kwargs: Any) -> None:
        self.sent += [(name, step) for name in values]

    def steps(self, name: str) -> list[Any]:
        return [step for sent, step in self.sent if sent == name]


class LeaveAt(TrainerCallback):
    """Is told to leave, as clusters do, at an update."""

    def __init__(self, update: int) -> None:
        self.update = update

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.num_updates == self.update:
            signal.raise_signal(signal.SIGTERM)


def test_f69_each_update_reaches_the_tracker_once_though_the_run_is_interrupted(
    tmp_path: Path,
) -> None:
    tracker = Sent()

    def train(*callbacks: Any) -> None:
        trainer = make_trainer(LogToTrackersCallback(tracker), *callbacks)
        trainer.train(ones(40), 2, per_device_batch_size=1, checkpoint_dir=tmp_path, resume="auto")

    with pytest.raises(SystemExit):
        train(LeaveAt(37))
    train()
    assert tracker.steps("train_loss") == list(range(80))


def test_f70_every_evaluation_within_an_epoch_is_sent_with_its_own_update() -> None:
    tracker = Sent()
    trainer = make_trainer(LogToTrackersCallback(tracker), StepBasedEvaluationCallback(2))
    trainer.train(ones(8), 2, eval_dataset=ones(2), per_device_batch_size=1)
    assert tracker.steps("intermediate_eval_loss") == list(range(2, 17, 2))


def test_f71_no_sample_of_a_stream_is_repeated_by_workers_that_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Stream(numbers(*map(float, range(8))))
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: True)
        patch.setattr("torch.cuda.device_count", lambda: 1)
        patch.setattr("os.cpu_count", lambda: 64)
        workers = default_loader_kwargs(stream, 4, shuffle=False)["num_workers"]
    assert workers == 1
    loader = torch.utils.data.DataLoader(stream, batch_size=4, num_workers=workers)
    assert [value for batch in loader for value in batch[0].tolist()] == list(range(8))


class ByEpoch(torch.utils.data.Dataset[Any]):
    """Mixes its samples anew for each epoch that it is told."""

    def __init__(self) -> None:
        self.epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return torch.tensor([float(self.epoch)]), torch.zeros(1)


class StreamByEpoch(ByEpoch, torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Any:
        return map(self.__getitem__, range(len(self)))


@pytest.mark.parametrize(
    "dataset",
    [
        ByEpoch,
        lambda: torch.utils.data.Subset(ByEpoch(), range(4)),
        lambda: torch.utils.data.Subset(ByEpoch() + ByEpoch(), range(2, 6)),
        lambda: torch.utils.data.ChainDataset([StreamByEpoch()]),
    ],
)
@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 1}, {"num_workers": 1, "persistent_workers": True}]
)
def test_f72_a_data_set_is_told_the_epoch_in_its_workers_too(dataset: Any, options: Any) -> None:
    class Seen(Trainer):
        def calculate_train_batch_loss(self, batch: Any) -> Any:
            seen.extend(batch[0].flatten().tolist())
            return super().calculate_train_batch_loss(batch)

    seen: list[float] = []
    trainer = make_trainer(kind=Seen)
    trainer.train(dataset(), 3, per_device_batch_size=2, train_dataloader_kwargs=options)
    assert seen == [0.0] * 4 + [1.0] * 4 + [2.0] * 4


def test_f75_a_plan_in_shares_of_a_stream_whose_epochs_have_no_known_length() -> None:
    plan = linear(0.1, start=0.0) >> cosine()
    trainer = make_trainer(record := Record(), lr=0.1)
    trainer.train(
        Stream(ones(40)),
        2,
        per_device_batch_size=2,
        max_num_train_steps=20,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=plan),
    )
    assert record.used == [plan.over(20)(k, base=0.1) for k in range(20)]


class Records(TrainerCallback):
    """Records what libraries of metrics return."""

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        scores = {"f1": np.float32(0.5), "each": [np.float64(0.25), np.int64(3)]}
        trainer.run_history.update_metric("scores", scores)


def test_f78_metrics_with_numbers_of_numpy_go_into_a_checkpoint(tmp_path: Path) -> None:
    trainer = make_trainer(Records())
    trainer.train(ones(4), 1, eval_dataset=ones(4), checkpoint_dir=tmp_path)
    again = make_trainer(Records())
    with pytest.warns(UserWarning, match="num_epochs: 1 before, 2 now"):
        again.train(ones(4), 2, eval_dataset=ones(4), checkpoint_dir=tmp_path, resume="auto")
    expected = {"f1": 0.5, "each": [0.25, 3]}
    assert again.run_history.get_metric_values("scores") == [expected, expected]
    assert math.isfinite(again.run_history.get_latest_metric("eval_loss_epoch"))
