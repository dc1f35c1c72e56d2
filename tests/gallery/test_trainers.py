"""Failures known from training loops, against the real Trainer, by the ids of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from schedulefree import SGDScheduleFree

from pytorch_accelerated.callbacks import SaveTrainingStateCallback, TrainerCallback
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    StatefulSchedulerBase,
)
from pytorch_accelerated.schedules import cosine, linear
from pytorch_accelerated.trainer import Trainer
from tests.trainer.tiny import (
    Record,
    Scale,
    StopAt,
    Stream,
    make_trainer,
    mean_output,
    numbers,
    ones,
)

DECAY = ParamScheduler.create_scheduler_fn(lr=linear(end=0.0))


def planned(num_updates: int) -> list[float]:
    plan = linear(num_updates, end=0.0)
    return [plan(k, base=0.1) for k in range(num_updates)]


def left(trainer: Any) -> float:
    rate: float = trainer.optimizer.param_groups[0]["lr"]
    return rate


@pytest.mark.parametrize(("batches", "accumulation"), [(5, 3), (4, 3), (7, 4), (3, 8)])
def test_f30_a_short_window_counts_its_own_batches(batches: int, accumulation: int) -> None:
    record = Record()
    trainer = make_trainer(record)
    trainer.train(
        ones(2 * batches),
        num_epochs=2,
        per_device_batch_size=2,
        gradient_accumulation_steps=accumulation,
    )
    assert len(record.gradients) == 2 * -(-batches // accumulation)
    assert [float(gradient) for gradient in record.gradients] == pytest.approx(
        [1.0] * len(record.gradients)
    )


@pytest.mark.parametrize("epochs", [1, 4])
def test_f31_a_schedule_reaches_its_peak_and_its_floor(epochs: int) -> None:
    record = Record()
    trainer = make_trainer(record)
    plan = linear(0.25, start=0.04) >> cosine(end=0.0)
    trainer.train(
        ones(2 * 32 // epochs),
        num_epochs=epochs,
        per_device_batch_size=2,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=plan),
    )
    assert record.used == [plan.over(32)(k, base=0.1) for k in range(32)]
    assert max(record.used) == 0.1
    assert left(trainer) == 0.0


class Every(StatefulSchedulerBase):
    """Halves the rate after each ``every`` updates."""

    def __init__(self, optimizer: Any, every: int) -> None:
        super().__init__(optimizer)
        self.every = every

    def get_updated_values(self, num_updates: int) -> Any:
        return [base * 0.5 ** (num_updates // self.every) for base in self.base_lr_values]


@pytest.mark.parametrize(("epochs", "accumulation"), [(1, 1), (3, 1), (3, 4), (16, 2)])
def test_f32_a_period_counts_updates_over_epochs_and_windows(
    epochs: int, accumulation: int
) -> None:
    record = Record()
    make_trainer(record).train(
        ones(48 // epochs * accumulation),
        num_epochs=epochs,
        per_device_batch_size=1,
        gradient_accumulation_steps=accumulation,
        create_scheduler_fn=lambda optimizer: Every(optimizer, every=20),
    )
    assert record.used == [0.1] * 20 + [0.05] * 20 + [0.025] * 8


def run(folder: Path, *callbacks: Any, epochs: int = 4, **options: Any) -> tuple[Any, Any]:
    """Four updates an epoch, on numbers that are all different; its states go to ``folder``."""
    record = Record()
    save = SaveTrainingStateCallback(folder, save_every_n_epochs=1, save_every_n_steps=1)
    trainer = make_trainer(record, save, *callbacks)
    trainer.train(
        numbers(*[0.1 * k for k in range(8)]),
        num_epochs=epochs,
        per_device_batch_size=2,
        create_scheduler_fn=DECAY,
        seed=7,
        **options,
    )
    return trainer, record


def weight(trainer: Any) -> Any:
    return trainer.model.weight.item()


@pytest.mark.parametrize("epochs_done", [1, 3])
def test_f49_an_interrupted_run_makes_the_updates_that_are_left(
    epochs_done: int, tmp_path: Path
) -> None:
    straight, whole = run(tmp_path / "straight")
    assert whole.used == planned(16)
    _, first = run(tmp_path / "first", StopAt("on_training_run_epoch_end", epochs_done))
    state = tmp_path / "first" / f"epoch_{epochs_done}"
    resumed, rest = run(tmp_path / "rest", resume_from=state)
    assert first.used + rest.used == whole.used
    assert weight(resumed) == weight(straight)


def test_f50_every_saved_state_can_be_resumed(tmp_path: Path) -> None:
    straight, whole = run(tmp_path / "straight", epochs=3)
    for epoch in (1, 2, 3):
        state = tmp_path / "straight" / f"epoch_{epoch}"
        resumed, rest = run(tmp_path / f"from_{epoch}", epochs=3, resume_from=state)
        assert rest.used == whole.used[4 * epoch :]
        assert weight(resumed) == weight(straight)


@pytest.mark.parametrize("position", [2, 4, 7])
def test_f62_a_state_of_mid_epoch_or_epoch_end_goes_on_exactly(
    position: int, tmp_path: Path
) -> None:
    straight, whole = run(tmp_path / "straight")
    state = tmp_path / "straight" / f"step_{position}"
    resumed, rest = run(tmp_path / "rest", resume_from=state)
    assert rest.used == whole.used[position:]
    assert weight(resumed) == weight(straight)


def test_f53_training_reseeds_nothing_unasked() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        before = torch.rand(2)
        make_trainer().train(ones(4), num_epochs=1)
        torch.manual_seed(2)
        make_trainer().train(ones(4), num_epochs=1)
        drawn.append((before.tolist(), torch.rand(2).tolist()))
    assert drawn[0] == drawn[1]
    torch.manual_seed(3)
    make_trainer().train(ones(4), num_epochs=1)
    assert torch.rand(2).tolist() != drawn[0][1]


@pytest.mark.parametrize(("limit", "made"), [(5, 5), (8, 8), (20, 8), (None, 8)])
def test_f55_whichever_limit_comes_first_is_the_length(limit: int | None, made: int) -> None:
    record = Record()
    trainer = make_trainer(record)
    trainer.train(
        ones(8),
        num_epochs=2,
        per_device_batch_size=2,
        max_num_train_steps=limit,
        create_scheduler_fn=DECAY,
    )
    assert record.used == planned(made)
    assert left(trainer) == 0.0
    assert trainer.run_config.max_num_train_steps == made


@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_f56_the_reported_loss_is_undivided(accumulation: int) -> None:
    trainer = make_trainer(loss=lambda outputs, targets: outputs.mean() * 0 + 1.0)
    trainer.train(
        ones(8), num_epochs=1, per_device_batch_size=2, gradient_accumulation_steps=accumulation
    )
    assert trainer.run_history.get_latest_metric("train_loss_epoch") == 1.0


def test_f57_the_full_gradient_is_clipped_once() -> None:
    record = Record()
    trainer = make_trainer(record)
    trainer.train(
        numbers(4.0, -4.0),
        num_epochs=1,
        per_device_batch_size=1,
        gradient_accumulation_steps=2,
        gradient_clip_value=1.0,
    )
    assert [float(gradient) for gradient in record.gradients] == [0.0]


def test_f29_a_schedule_counts_updates_in_every_accumulation() -> None:
    for accumulation in (1, 4):
        record = Record()
        trainer = make_trainer(record)
        trainer.train(
            ones(4 * accumulation),
            num_epochs=1,
            per_device_batch_size=1,
            gradient_accumulation_steps=accumulation,
            create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(lr_min=0.0),
        )
        assert record.used == [cosine(4, end=0.0)(k, base=0.1) for k in range(4)]
        assert left(trainer) == 0.0


def test_f28_a_longer_run_than_planned_holds_the_floor_and_says_so_once() -> None:
    record = Record()
    trainer = make_trainer(record)
    with pytest.warns(UserWarning, match="has 20 updates.* ends at update 10") as said:
        trainer.train(
            ones(20),
            num_epochs=2,
            max_num_train_steps=20,
            per_device_batch_size=1,
            create_scheduler_fn=lambda optimizer: ParamScheduler(optimizer, lr=linear(10, end=0.0)),
        )
    assert len(said) == 1
    assert record.used == planned(10) + [0.0] * 10


@pytest.mark.parametrize("is_compiled_first", [False, True])
def test_f67_compiled_parts_leave_nothing_in_the_names(
    tmp_path: Path, is_compiled_first: bool
) -> None:
    def make(is_compiled: bool) -> Trainer:
        body = torch.nn.Linear(1, 1)
        model = torch.nn.Sequential(
            torch.compile(body, backend="eager") if is_compiled else body, torch.nn.Linear(1, 1)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        return Trainer(model, torch.nn.MSELoss(), optimizer, callbacks=())

    run = {"train_dataset": pairs(4), "per_device_batch_size": 2}
    first, second = make(is_compiled_first), make(not is_compiled_first)
    first.train(**run, num_epochs=1, checkpoint_dir=tmp_path / "run")
    first.save_checkpoint(tmp_path / "file.pt")
    weights = torch.load(tmp_path / "file.pt", weights_only=True)["model_state_dict"]
    assert list(weights) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    for load in (
        lambda: second.load_checkpoint(tmp_path / "file.pt"),
        lambda: second.train(**run, num_epochs=1, resume=tmp_path / "run"),
    ):
        load()
        for mine, theirs in zip(second.model.parameters(), first.model.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def pairs(size: int) -> torch.utils.data.TensorDataset:
    x = torch.linspace(-1.0, 1.0, size).unsqueeze(1)
    return torch.utils.data.TensorDataset(x, 2 * x)


def test_f79_a_stream_that_is_over_early_is_told() -> None:
    with pytest.warns(UserWarning, match=r"after 6 updates.*max_num_train_steps=20"):
        make_trainer().train(Stream(ones(6)), 1, per_device_batch_size=1, max_num_train_steps=20)


def test_f80_an_optimizer_with_modes_is_switched_with_the_model() -> None:
    model = Scale()
    optimizer = SGDScheduleFree(model.parameters(), lr=0.1)
    modes: list[tuple[bool, bool]] = []

    class Note(TrainerCallback):
        def note(self, trainer: Any, **kwargs: Any) -> None:
            modes.append((trainer.model.training, trainer.optimizer.param_groups[0]["train_mode"]))

        on_train_step_end = on_eval_step_end = on_training_run_end = note

    trainer = Trainer(model, mean_output, optimizer, callbacks=[Note()])
    trainer.train(ones(2), 2, eval_dataset=ones(2))
    assert modes == [(True, True), (False, False)] * 2 + [(False, False)]
