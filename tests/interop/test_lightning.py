"""Lightning's Trainer and Fabric."""

from __future__ import annotations

import copy
import csv
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L  # noqa: N812  the way its users write it
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import (
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.cli import LightningCLI, LRSchedulerCallable
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from pytorch_accelerated import monitor
from pytorch_accelerated.integrations import lightning as integration
from pytorch_accelerated.integrations.lightning import ScheduleMonitor, scheduled
from pytorch_accelerated.schedulers import ParamScheduler, SchedulerWarning
from pytorch_accelerated.schedules import constant, cosine, linear
from tests.interop.plan import (
    BASE,
    DECAY,
    NUM_UPDATES,
    PLAN,
    TEXTS,
    make_scheduler,
    planned,
    planned_decay,
)
from tests.recording import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore:Be aware that when using `ckpt_path`",
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:You're resuming from a checkpoint that ended before the epoch",
)


class Module(L.LightningModule):
    def __init__(self, make: Any = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.make = make

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=BASE, weight_decay=DECAY)
        if self.make is None:
            return self.recorded(scheduled(self, optimizer, **TEXTS))
        settings = {"scheduler": self.make(optimizer), "interval": "step"}
        return self.recorded({"optimizer": optimizer, "lr_scheduler": settings})

    def recorded(self, configured: Any) -> Any:
        self.recorder = Recorder(configured["optimizer"])
        self.decays = Recorder(configured["optimizer"], "weight_decay")
        self.scheduler = configured["lr_scheduler"]["scheduler"]
        return configured

    def used(self) -> list[float]:
        return [values[0] for values in self.recorder.used] + self.scheduler.get_last_lr()

    def used_decay(self) -> list[float]:
        groups = self.scheduler.optimizer.param_groups
        return [values[0] for values in self.decays.used] + [groups[0]["weight_decay"]]


def batches(count: int) -> Any:
    return DataLoader(TensorDataset(torch.ones(2 * count, 1)), batch_size=2)


def trainer(folder: Path, kind: Any = L.Trainer, **options: Any) -> Any:
    return kind(
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
    options = {"accumulate_grad_batches": accumulation, "callbacks": [ScheduleMonitor()]}
    fit = trainer(tmp_path, max_epochs=epochs, **options)
    fit.fit(module, batches(NUM_UPDATES // epochs * accumulation))
    assert module.used() == planned()
    assert module.used_decay() == planned_decay()
    (watch,) = (one for one in fit.callbacks if isinstance(one, ScheduleMonitor))
    assert watch.summary() == "applied == planned (8 updates, 16 values)"
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
    assert (straight.used(), straight.used_decay()) == (planned(), planned_decay())

    resumed = Module()
    watch = ScheduleMonitor()
    trainer(tmp_path, max_epochs=2, callbacks=[watch]).fit(
        resumed, batches(4), ckpt_path=tmp_path / f"step={position}.ckpt", weights_only=True
    )
    assert (resumed.used(), resumed.used_decay()) == (planned(position), planned_decay(position))
    assert watch.applied["lr"] == [[value] for value in planned(position)[:-1]]
    assert watch.differences == []


def test_both_monitors_log_what_each_update_ran_with(tmp_path: Path) -> None:
    module = Module()
    logger = CSVLogger(tmp_path)
    theirs = LearningRateMonitor(logging_interval="step", log_weight_decay=True)
    options = {"log_every_n_steps": 1, "callbacks": [theirs, ScheduleMonitor()]}
    trainer(tmp_path, max_epochs=2, logger=logger, accumulate_grad_batches=2, **options).fit(
        module, batches(8)
    )
    for column, values in (
        ("lr-SGD", planned()),
        ("plan/lr", planned()),
        ("applied/lr", planned()),
        ("plan/weight_decay", planned_decay()),
        ("applied/weight_decay", planned_decay()),
    ):
        # Lightning's own logs each batch.
        assert list(dict.fromkeys(read_column(logger, column))) == values[:-1]
    assert len(read_column(logger, "plan/lr")) == NUM_UPDATES
    steps = read_column(logger, "step", where="plan/lr")
    assert steps == list(range(NUM_UPDATES))
    hparams = yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert hparams["schedules"]["lr"] == repr(PLAN)


def read_column(logger: CSVLogger, name: str, where: str = "") -> list[float]:
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[where or name]]


class OnceAnEpoch(Module):
    def configure_optimizers(self) -> Any:
        configured = super().configure_optimizers()
        del configured["lr_scheduler"]["interval"]
        return configured


class TwiceAnUpdate(Module):
    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        scheduler.step()
        scheduler.step()


class BeforeTheOptimizer(Module):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.scheduler.step()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("module", "diagnosis"),
    [
        (OnceAnEpoch, "as if once an epoch"),
        (TwiceAnUpdate, "2 times an update"),
        (BeforeTheOptimizer, "before the first update"),
    ],
)
def test_the_monitor_finds_a_mistake(module: Any, diagnosis: str, tmp_path: Path) -> None:
    watch = ScheduleMonitor()
    with pytest.warns(SchedulerWarning, match=diagnosis) as caught:
        trainer(tmp_path, max_epochs=2, callbacks=[watch]).fit(module(), batches(4))
    assert [one.category for one in caught].count(SchedulerWarning) == 1
    assert diagnosis in watch.summary()


def test_the_monitor_leaves_no_hook_after_an_exception(tmp_path: Path) -> None:
    class Failing(Module):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            raise RuntimeError("the disk is full")

    module = Failing()
    with pytest.raises(RuntimeError, match="the disk is full"):
        trainer(tmp_path, max_epochs=2, callbacks=[ScheduleMonitor()]).fit(module, batches(4))
    hooks = module.scheduler.optimizer._optimizer_step_pre_hooks
    assert len(hooks) == 2  # those of the recorders


def test_epochs_are_those_of_the_trainer_unless_told(tmp_path: Path) -> None:
    class InEpochs(Module):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=BASE, weight_decay=DECAY)
            text = "linear(epochs(1), start=0.0) >> constant()"
            assert plan(scheduled(self, optimizer, lr=text)) == linear(2, start=0.0) >> constant(6)
            given = scheduled(self, optimizer, lr=text, horizon=7, num_updates_per_epoch=3)
            assert plan(given) == linear(3, start=0.0) >> constant(4)
            return optimizer

    def plan(configured: Any) -> Any:
        return configured["lr_scheduler"]["scheduler"].schedules["lr"]

    fit = trainer(tmp_path, max_epochs=4, accumulate_grad_batches=2)
    fit.fit(InEpochs(), batches(3))
    assert fit.global_step == NUM_UPDATES


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([(torch.ones(1),)] * 100)


def test_a_run_whose_length_is_not_known_needs_a_horizon(tmp_path: Path) -> None:
    stream = DataLoader(Stream(), batch_size=2)
    with pytest.raises(ValueError, match="horizon="):
        trainer(tmp_path, max_epochs=1).fit(Module(), stream)
    changing = trainer(tmp_path, max_epochs=3, callbacks=[GradientAccumulationScheduler({1: 2})])
    with pytest.raises(ValueError, match="horizon="):
        changing.fit(Module(), batches(4))
    limited = Module()
    trainer(tmp_path, max_steps=NUM_UPDATES, max_epochs=-1).fit(limited, stream)
    assert limited.used() == planned()


class Adversaries(L.LightningModule):
    """Two optimizers, of which one makes an update every second time."""

    def __init__(self, is_told: bool) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.layers = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(2))
        self.is_told = is_told

    def configure_optimizers(self) -> Any:
        optimizers = [torch.optim.SGD(layer.parameters(), lr=BASE) for layer in self.layers]
        self.recorders = list(map(Recorder, optimizers))
        horizons = [NUM_UPDATES, NUM_UPDATES // 2] if self.is_told else [None, None]
        return [
            scheduled(self, one, lr=TEXTS["lr"], horizon=horizon)
            for one, horizon in zip(optimizers, horizons, strict=True)
        ]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        pairs = zip(self.layers, self.optimizers(), self.lr_schedulers(), strict=True)
        for place, (layer, optimizer, scheduler) in enumerate(pairs):
            if batch_idx % (place + 1) == 0:
                self.manual_backward(layer(batch[0]).square().mean())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()


def test_manual_optimization_of_several_optimizers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="horizon="):
        trainer(tmp_path, max_epochs=2).fit(Adversaries(is_told=False), batches(4))
    with pytest.raises(ValueError, match="there are 2 for 2 optimizers"):
        trainer(tmp_path, max_epochs=2, callbacks=[ScheduleMonitor()]).fit(
            Adversaries(is_told=True), batches(4)
        )
    module = Adversaries(is_told=True)
    trainer(tmp_path, max_epochs=2).fit(module, batches(4))
    first, second = ([values[0] for values in one.used] for one in module.recorders)
    assert first == planned()[:-1]
    short = linear(3, start=0.25) >> cosine(1, end=0.0)
    assert second == [short(k, base=BASE) for k in range(4)]


class WritesDown(Module):
    def on_train_end(self) -> None:
        path = Path(self.trainer.default_root_dir) / f"{self.global_rank}.json"
        path.write_text(json.dumps([self.used(), self.used_decay()]))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_two_processes(tmp_path: Path) -> None:
    options = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 2, "accumulate_grad_batches": 2}
    trainer(tmp_path, **options).fit(WritesDown(), batches(16))
    for rank in (0, 1):
        used = json.loads((tmp_path / f"{rank}.json").read_text())
        assert used == [planned(), planned_decay()]


def test_the_other_name_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_lightning

    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    ours = SimpleNamespace(**runpy.run_path(integration.__file__))

    class Other(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.layer(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return ours.scheduled(self, torch.optim.SGD(self.parameters(), lr=BASE), lr=TEXTS["lr"])

    watch = ours.ScheduleMonitor()
    kind = pytorch_lightning.Trainer
    trainer(tmp_path, kind, max_epochs=2, callbacks=[watch]).fit(Other(), batches(4))
    assert watch.applied["lr"] == [[value] for value in planned()[:-1]]


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
    schedules: SCHEDULES,
    HORIZON
  }
}""".replace("SCHEDULES", json.dumps(TEXTS))


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
        settings = {"scheduler": lr_scheduler, "interval": "step"}
        return lightning_module.recorded({"optimizer": optimizer, "lr_scheduler": settings})


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

    fresh = fitted()
    assert (fresh.used(), fresh.used_decay()) == (planned(), planned_decay())
    resumed = fitted("--ckpt_path", "step=3.ckpt", "--weights_only", "true")
    assert (resumed.used(), resumed.used_decay()) == (planned(3), planned_decay(3))


# Fabric ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(("strategy", "devices"), [("auto", 1), ("ddp_fork", 2)])
def test_fabric_and_its_checkpoint(strategy: str, devices: int, tmp_path: Path) -> None:
    def objects(fabric: Any) -> Any:
        model = torch.nn.Linear(1, 1)
        inner = torch.optim.SGD(model.parameters(), lr=BASE, weight_decay=DECAY)
        recorder = Recorder(inner)
        model, optimizer = fabric.setup(model, inner)
        scheduler = ParamScheduler(optimizer, horizon=NUM_UPDATES, **TEXTS)
        state = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        return model, optimizer, scheduler, recorder, state

    def train(fabric: Any, objects: Any, count: int) -> list[float]:
        model, optimizer, scheduler, recorder, _ = objects
        with monitor(optimizer, scheduler) as watch:
            for _ in range(count):
                fabric.backward(model(torch.ones(2, 1)).square().mean())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        assert watch.summary() == f"applied == planned ({count} updates, {2 * count} values)"
        return [values[0] for values in recorder.used] + scheduler.get_last_lr()

    def run(fabric: Any) -> None:
        first, second = objects(fabric), objects(fabric)
        assert train(fabric, first, 3) == planned(0, 3)
        fabric.save(tmp_path / "state.ckpt", first[-1])
        fabric.load(tmp_path / "state.ckpt", second[-1], weights_only=True)
        assert train(fabric, second, NUM_UPDATES - 3) == planned(3)
        (tmp_path / f"{fabric.global_rank} is done").touch()

    L.Fabric(accelerator="cpu", devices=devices, strategy=strategy).launch(run)
    assert len([*tmp_path.glob("* is done")]) == devices


def test_fabric_takes_the_optimizer_before_or_after_its_setup() -> None:
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model = torch.nn.Linear(1, 1)
    inner = torch.optim.SGD(model.parameters(), lr=BASE)
    before = make_scheduler(inner)
    twin = copy.deepcopy(before)
    model, optimizer = fabric.setup(model, inner)
    after = make_scheduler(optimizer)
    assert before.get_last_lr() == after.get_last_lr() == twin.get_last_lr() == planned(0, 0)


class TwoOptimizers(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 1))

    def configure_optimizers(self) -> Any:
        muon = torch.optim.Muon(self.layers[0].parameters(), lr=BASE, momentum=0.9)
        adamw = torch.optim.AdamW(self.layers[1].parameters(), lr=2 * BASE)
        self.recorders = Recorder(muon), Recorder(adamw)
        plan = linear(NUM_UPDATES, end=0.0)
        self.scheduler = ParamScheduler([muon, adamw], lr=plan, momentum={"Muon": plan})
        return [muon, adamw], [self.scheduler]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        loss = self.layers(batch[0].expand(-1, 2)).square().mean()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
            optimizer.zero_grad()
        self.lr_schedulers().step()


def test_one_scheduler_for_two_optimizers_resumes_with_them(tmp_path: Path) -> None:
    plan = linear(NUM_UPDATES, end=0.0)
    used: list[list[Any]] = [[], []]
    path = None
    for num_epochs in (1, 2):
        module, watch = TwoOptimizers(), ScheduleMonitor()
        fit = trainer(tmp_path, max_epochs=num_epochs, callbacks=[watch])
        fit.fit(module, batches(NUM_UPDATES // 2), ckpt_path=path)
        for all_of_it, recorder in zip(used, module.recorders, strict=True):
            all_of_it += recorder.used
        fit.save_checkpoint(path := tmp_path / "between.ckpt")
        assert watch.summary().startswith("applied == planned (4 updates")
    for all_of_it, base in zip(used, (BASE, 2 * BASE), strict=True):
        assert all_of_it == [[plan(k, base)] for k in range(NUM_UPDATES)]
