"""Lightning's Trainer and Fabric."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812  the way its users write it
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningCLI, LRSchedulerCallable
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.interop.plan import BASE, NUM_UPDATES, make_scheduler, planned
from tests.recording import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore:Be aware that when using `ckpt_path`",
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:You're resuming from a checkpoint that ended before the epoch",
)


class Module(L.LightningModule):
    def __init__(self, make: Any = make_scheduler) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.make = make

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=BASE, weight_decay=0.4)
        return self.handed_over(optimizer, self.make(optimizer))

    def handed_over(self, optimizer: Any, scheduler: Any) -> Any:
        self.recorder = Recorder(optimizer)
        self.decays = Recorder(optimizer, "weight_decay")
        self.scheduler = scheduler
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def used(self) -> list[float]:
        return [values[0] for values in self.recorder.used] + self.scheduler.get_last_lr()


def batches(count: int) -> Any:
    return DataLoader(TensorDataset(torch.ones(2 * count, 1)), batch_size=2)


def trainer(folder: Path, **options: Any) -> Any:
    return L.Trainer(
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "default_root_dir": folder,
            **options,
        }
    )


@pytest.mark.parametrize(("accumulation", "epochs"), [(1, 2), (1, 1), (2, 4), (3, 2)])
def test_each_update_runs_with_the_planned_value(
    accumulation: int, epochs: int, tmp_path: Path
) -> None:
    module = Module()
    fit = trainer(tmp_path, max_epochs=epochs, accumulate_grad_batches=accumulation)
    fit.fit(module, batches(NUM_UPDATES // epochs * accumulation))
    assert module.used() == planned()
    assert module.scheduler.num_updates == fit.global_step == NUM_UPDATES


def test_the_last_window_of_an_epoch_is_an_update_too(tmp_path: Path) -> None:
    module = Module()
    trainer(tmp_path, max_epochs=4, accumulate_grad_batches=2).fit(module, batches(3))
    assert module.used() == planned()


@pytest.mark.parametrize("position", [3, 4])
def test_going_on_from_a_checkpoint(position: int, tmp_path: Path) -> None:
    # Four updates an epoch: one checkpoint in mid-epoch, one at its end.
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    straight = Module()
    trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[keep]).fit(
        straight, batches(4)
    )
    assert straight.used() == planned()

    resumed = Module()
    trainer(tmp_path, max_epochs=2).fit(
        resumed, batches(4), ckpt_path=tmp_path / f"step={position}.ckpt", weights_only=True
    )
    assert resumed.used() == planned(position)


def test_the_monitor_logs_what_is_in_force(tmp_path: Path) -> None:
    module = Module()
    logger = CSVLogger(tmp_path)
    monitor = LearningRateMonitor(logging_interval="step", log_weight_decay=True)
    trainer(tmp_path, max_epochs=2, logger=logger, callbacks=[monitor], log_every_n_steps=1).fit(
        module, batches(4)
    )
    logged = [float(value) for value in read_column(logger, "lr-SGD")]
    assert logged == planned()[:-1]


def read_column(logger: CSVLogger, name: str) -> list[str]:
    header, *lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    column = header.split(",").index(name)
    return [line.split(",")[column] for line in lines if line.split(",")[column]]


def test_several_fields_at_once(tmp_path: Path) -> None:
    decay = linear(NUM_UPDATES, end=0.0)
    module = Module(lambda optimizer: ParamScheduler(optimizer, lr=decay, weight_decay=decay))
    trainer(tmp_path, max_epochs=2).fit(module, batches(4))
    assert [values[0] for values in module.decays.used] == [
        decay(k, base=0.4) for k in range(NUM_UPDATES)
    ]


def test_manual_optimization(tmp_path: Path) -> None:
    class Manual(Module):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.manual_backward(super().training_step(batch, batch_idx))
            if batch_idx % 2:
                self.optimizers().step()
                self.lr_schedulers().step()
                self.optimizers().zero_grad()

    module = Manual()
    trainer(tmp_path, max_epochs=2).fit(module, batches(8))
    assert module.used() == planned()


# LightningCLI ------------------------------------------------------------------------------

CONFIGURED = """
seed_everything: false
trainer:
  accelerator: cpu
  max_epochs: 2
  logger: false
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {dirpath: ., filename: "{step}", every_n_train_steps: 1, save_top_k: -1}
"""
SCHEDULER = """{
  class_path: pytorch_accelerated.integrations.ConfiguredScheduler,
  init_args: {
    schedules: {lr: "linear(3, start=0.25) >> cosine(end=0.0)", weight_decay: linear(end=0.0)},
    HORIZON
  }
}"""


class AsksItsTrainer(Module):
    def __init__(self, scheduler: LRSchedulerCallable) -> None:
        super().__init__()
        self.make = lambda optimizer: scheduler(
            optimizer, horizon=self.trainer.estimated_stepping_batches
        )

    def train_dataloader(self) -> Any:
        return batches(4)


class IsTold(Module):
    def __init__(self) -> None:
        super().__init__()

    def train_dataloader(self) -> Any:
        return batches(4)


class StepsWithEveryUpdate(LightningCLI):
    @staticmethod
    def configure_optimizers(
        lightning_module: Any, optimizer: Any, lr_scheduler: Any = None
    ) -> Any:
        return lightning_module.handed_over(optimizer, lr_scheduler)


@pytest.mark.filterwarnings(
    "ignore:Checkpoint directory .* is not empty",
    "ignore:.*configure_optimizers` will be overridden",
)
@pytest.mark.parametrize("is_told", [False, True])
def test_a_configuration_file_says_the_plan(
    is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if is_told:
        cli, module = StepsWithEveryUpdate, IsTold
        optimizer = f"{{class_path: torch.optim.SGD, init_args: {{lr: {BASE}, weight_decay: 0.4}}}}"
        scheduler = SCHEDULER.replace("HORIZON", f"horizon: {NUM_UPDATES}")
        text = f"optimizer: {optimizer}\nlr_scheduler: {scheduler}\n"
    else:
        cli, module = LightningCLI, AsksItsTrainer
        text = f"model:\n  scheduler: {SCHEDULER.replace('HORIZON', '')}\n"
    Path("plan.yaml").write_text(CONFIGURED + text)

    def fitted(*more: str) -> Any:
        monkeypatch.setattr("sys.argv", ["train.py", "fit", "--config", "plan.yaml", *more])
        return cli(module, save_config_callback=None).model

    decay = [linear(NUM_UPDATES, end=0.0)(k, base=0.4) for k in range(NUM_UPDATES)]
    fresh = fitted()
    assert fresh.used() == planned()
    assert [values[0] for values in fresh.decays.used] == decay
    resumed = fitted("--ckpt_path", "step=3.ckpt", "--weights_only", "true")
    assert resumed.used() == planned(3)
    assert [values[0] for values in resumed.decays.used] == decay[3:]


# Fabric ------------------------------------------------------------------------------------


def test_fabric_and_its_checkpoint(tmp_path: Path) -> None:
    def objects() -> Any:
        fabric = L.Fabric(accelerator="cpu", devices=1)
        model = torch.nn.Linear(1, 1)
        inner = torch.optim.SGD(model.parameters(), lr=BASE)
        recorder = Recorder(inner)
        model, optimizer = fabric.setup(model, inner)
        return fabric, model, optimizer, make_scheduler(optimizer), recorder

    def train(objects: Any, count: int) -> list[float]:
        fabric, model, optimizer, scheduler, recorder = objects
        for _ in range(count):
            fabric.backward(model(torch.ones(2, 1)).square().mean())
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        return [values[0] for values in recorder.used] + scheduler.get_last_lr()

    first = objects()
    assert train(first, 3) == planned(0, 3)
    fabric, model, optimizer, scheduler, _ = first
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    fabric.save(tmp_path / "state.ckpt", state)

    second = objects()
    fabric, model, optimizer, scheduler, _ = second
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    fabric.load(tmp_path / "state.ckpt", state, weights_only=True)
    assert train(second, NUM_UPDATES - 3) == planned(3)


def test_fabric_takes_the_optimizer_before_or_after_its_setup() -> None:
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model = torch.nn.Linear(1, 1)
    inner = torch.optim.SGD(model.parameters(), lr=BASE)
    before = make_scheduler(inner)
    twin = copy.deepcopy(before)
    model, optimizer = fabric.setup(model, inner)
    after = make_scheduler(optimizer)
    assert before.get_last_lr() == after.get_last_lr() == twin.get_last_lr() == planned(0, 0)
