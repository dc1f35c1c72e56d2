"""Schedules and the monitor in Trainers of Transformers: what each update of a real run used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import Trainer, TrainerCallback, TrainingArguments

from pytorch_accelerated.integrations.transformers import Scheduled, ScheduleMonitor
from pytorch_accelerated.schedulers import ParamScheduler, SchedulerWarning
from pytorch_accelerated.schedules import cosine, linear
from tests.interop.plan import BASE, NUM_UPDATES, PLAN, planned
from tests.interop.test_transformers import Model, Rows, StopAt
from tests.recording import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pin_memory.*:UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)

DECAY = 0.4
SCHEDULES = {"lr": "linear(3, start=0.25) >> cosine(end=0.0)", "weight_decay": linear(end=0.0)}


class MyTrainer(Scheduled, Trainer):
    pass


class Records(TrainerCallback):
    """Notes what each update runs with."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        bare = given["optimizer"].optimizer
        self.rates, self.decays = Recorder(bare), Recorder(bare, "weight_decay")


def make(folder: Path, *callbacks: Any, kind: Any = MyTrainer, **options: Any) -> Any:
    arguments = {
        "output_dir": str(folder),
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 1,
        "per_device_train_batch_size": 2,
        "num_train_epochs": 2,
        "learning_rate": BASE,
        "weight_decay": DECAY,
        "save_strategy": "no",
        "dataloader_pin_memory": False,
    }
    own = {name: options.pop(name) for name in ("schedules", "optimizers") if name in options}
    return kind(
        Model(),
        TrainingArguments(**arguments | options),
        train_dataset=Rows(16 if "gradient_accumulation_steps" in options else 8),
        callbacks=list(callbacks),
        **own,
    )


def used(records: Records) -> tuple[list[Any], list[Any]]:
    return records.rates.used, records.decays.used


def due(start: int, stop: int) -> tuple[list[Any], list[Any]]:
    """What the weights' and the biases' group have to use: biases have no weight decay."""
    rates, decay = planned(), linear(NUM_UPDATES, end=0.0)
    updates = range(start, stop)
    return [[rates[k]] * 2 for k in updates], [[decay(k, base=DECAY), 0.0] for k in updates]


@pytest.mark.parametrize("position", [3, 4])
def test_fresh_and_resumed_each_update_runs_with_its_value(position: int, tmp_path: Path) -> None:
    options = {
        "schedules": SCHEDULES,
        "gradient_accumulation_steps": 2,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    records, monitor = Records(), ScheduleMonitor()
    trainer = make(tmp_path, records, monitor, StopAt(position), **options)
    trainer.train()
    assert used(records) == due(0, position)
    assert monitor.summary() == f"applied == planned ({position} updates, {4 * position} values)"

    records, monitor = Records(), ScheduleMonitor()
    trainer = make(tmp_path, records, monitor, **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{position}"))
    assert used(records) == due(position, NUM_UPDATES)
    assert trainer.lr_scheduler.num_updates == trainer.state.global_step == NUM_UPDATES
    assert monitor.first_update == position
    assert (monitor.applied["lr"], monitor.applied["weight_decay"]) == due(position, NUM_UPDATES)
    made = NUM_UPDATES - position
    assert monitor.summary() == f"applied == planned ({made} updates, {4 * made} values)"
    logged = [entry for entry in trainer.state.log_history if "applied/lr/0" in entry]
    assert [entry["step"] for entry in logged] == [*range(1, NUM_UPDATES + 1)]
    for name, values in [
        ("lr/0", planned()[:-1]),
        ("weight_decay/0", [one for one, _ in due(0, NUM_UPDATES)[1]]),
        ("weight_decay/1", [0.0] * NUM_UPDATES),
    ]:
        assert [entry[f"plan/{name}"] for entry in logged] == values
        assert [entry[f"applied/{name}"] for entry in logged] == values


def test_the_arguments_may_say_the_plan_and_loggers_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    text = {"lr": "linear(epochs(1), start=0.5) >> constant()", "weight_decay": "linear(end=0.0)"}
    records = Records()
    trainer = make(tmp_path, records, lr_scheduler_kwargs=text, report_to=["tensorboard"])
    trainer.add_callback(ScheduleMonitor)
    trainer.train()
    warmup = linear(4, start=0.5)
    rates = [[warmup(k, base=BASE)] * 2 for k in range(NUM_UPDATES)]
    assert used(records) == (rates, due(0, NUM_UPDATES)[1])
    assert trainer.args.lr_scheduler_kwargs == text

    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    for title in ("plan", "applied"):
        points = events.Scalars(f"train/{title}/lr/0")
        assert [point.step for point in points] == [*range(1, NUM_UPDATES + 1)]
        assert [point.value for point in points] == pytest.approx([one for one, _ in rates])
    (config,) = events.Tensors("args/text_summary")
    assert text["lr"] in config.tensor_proto.string_val[0].decode()


def test_arguments_that_are_given_twice_stay_as_they_were(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    before = arguments.to_dict()
    for plan in ("cosine()", "linear()"):
        trainer = MyTrainer(Model(), arguments, train_dataset=Rows(8), schedules={"lr": plan})
        assert trainer.args.lr_scheduler_kwargs == {"lr": plan}
    assert arguments.to_dict() == before
    Trainer(Model(), arguments, train_dataset=Rows(8)).create_optimizer_and_scheduler(8)


class Fails(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == 3:
            raise ZeroDivisionError


def test_a_run_that_fails_leaves_no_hook(tmp_path: Path) -> None:
    monitor = ScheduleMonitor()
    trainer = make(tmp_path, monitor, Fails(), schedules=SCHEDULES)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert not trainer.optimizer.optimizer._optimizer_step_pre_hooks
    assert monitor.summary() == "applied == planned (3 updates, 12 values)"
    assert monitor.applied["lr"] == due(0, 3)[0]


def test_a_later_run_begins_its_own_schedule(tmp_path: Path) -> None:
    records = Records()
    trainer = make(tmp_path, records, schedules=SCHEDULES)
    for _ in range(2):
        trainer.train()
        assert used(records) == due(0, NUM_UPDATES)


def test_schedules_by_group_are_kept_as_text(tmp_path: Path) -> None:
    by_group = {"lr": {0: cosine(), "*": "linear(end=0.5)"}, "weight_decay": [linear(), "cosine()"]}
    trainer = make(tmp_path, schedules=by_group, lr_scheduler_kwargs={"num_cycles": 3})
    assert trainer.args.lr_scheduler_kwargs == {
        "lr": {"0": "cosine()", "*": "linear(end=0.5)"},
        "weight_decay": ["linear()", "cosine()"],
    }
    trainer.train()
    assert trainer.lr_scheduler.schedules["lr"] == {0: cosine(8), "*": linear(8, end=0.5)}


def test_what_would_be_ignored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MyTrainer was given no schedules\. Write MyTrainer\("):
        make(tmp_path)
    with pytest.raises(TypeError, match=r"schedules='cosine\(\)' is a str, but has to be a dict"):
        make(tmp_path, schedules="cosine()")
    with pytest.raises(ValueError, match=r"warmup_steps=5 does nothing.*'linear\(5, start=0\.0\)"):
        make(tmp_path, schedules=SCHEDULES, warmup_steps=5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=BASE)
    scheduler = ParamScheduler(optimizer, lr=PLAN)
    with pytest.raises(ValueError, match=r"ParamScheduler\) brings a scheduler"):
        make(tmp_path, schedules=SCHEDULES, optimizers=(optimizer, scheduler))


class StepsMore(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        given["lr_scheduler"].step()


@pytest.mark.filterwarnings("ignore:ScheduleMonitor:UserWarning")
def test_the_monitor_watches_transformers_own_schedulers(tmp_path: Path) -> None:
    monitor = ScheduleMonitor()
    make(tmp_path, monitor, kind=Trainer, lr_scheduler_type="cosine").train()
    assert (
        monitor.summary() == f"applied == planned ({NUM_UPDATES} updates, {2 * NUM_UPDATES} values)"
    )

    trainer = make(tmp_path, monitor, StepsMore(), kind=Trainer, lr_scheduler_type="cosine")
    with pytest.warns(SchedulerWarning, match=r"ScheduleMonitor at update 1:\nParameter group 0"):
        trainer.train()
    assert re.search("LambdaLR was stepped 2 times an update", monitor.summary())
    hooks = trainer.optimizer.optimizer._optimizer_step_pre_hooks
    assert not hooks
