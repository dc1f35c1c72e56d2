import itertools
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler
from torch.utils.data import IterableDataset, Sampler
from torchmetrics import MeanAbsoluteError, MetricCollection, R2Score

from pytorch_accelerated.callbacks import (
    EarlyStoppingCallback,
    ModelEmaCallback,
    ScheduleMonitorCallback,
    StepBasedEvaluationCallback,
    StopTrainingError,
    TorchMetricsCallback,
    TrainerCallback,
)
from pytorch_accelerated.schedulers import CosineLrScheduler, ParamScheduler, SchedulerBase
from pytorch_accelerated.schedules import linear
from pytorch_accelerated.trainer import Trainer
from tests.checkpoints.runs import Data, DieAt, Interrupted, Net, make, names, outcome, sgd, train
from tests.trainer.tiny import StopAt


def straight_and_interrupted(tmp_path, *, deaths=(5, 3, 9), trainer=make, **kwargs):
    """What an undisturbed run comes to, and one that dies after so many batches each time."""
    straight = train(trainer(ScheduleMonitorCallback()), tmp_path / "straight", **fresh(kwargs))
    for n in deaths:
        with pytest.raises(Interrupted):
            train(trainer(ScheduleMonitorCallback(), DieAt(n)), tmp_path / "died", **fresh(kwargs))
    resumed = train(trainer(ScheduleMonitorCallback()), tmp_path / "died", **fresh(kwargs))
    return outcome(straight), outcome(resumed)


def fresh(kwargs):
    """Arguments that are made anew for each run, where they are functions without arguments."""
    return {
        name.removeprefix("make_"): value() if name.startswith("make_") else value
        for name, value in kwargs.items()
    }


class Rise(SchedulerBase):
    """Has to be told the number of updates."""

    def get_updated_values(self, num_updates):
        return [base * (1 + num_updates / 9) for base in self.base_lr_values]


class Scaled(lr_scheduler.LRScheduler):
    """Keeps something of its own, which a callback changes, and a count."""

    def __init__(self, optimizer):
        self.factor, self.count = 1.0, 0
        super().__init__(optimizer)

    def get_lr(self):
        self.count += 1
        return [base * self.factor for base in self.base_lrs]


class Halve(TrainerCallback):
    def on_train_epoch_end(self, trainer, **kwargs):
        if isinstance(trainer.scheduler, Scaled):
            trainer.scheduler.factor /= 2


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=20)


def in_sequence(optimizer):
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5),
        lr_scheduler.StepLR(optimizer, 3),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, [7])


two_fields = ParamScheduler.create_scheduler_fn(lr=linear(end=0.0), momentum=linear(end=0.5))
decay = ParamScheduler.create_scheduler_fn(weight_decay=linear(start=0.1, end=0.0))

SCHEDULERS = {
    "none": None,
    "cosine": CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=1),
    "several fields": two_fields,
    "stateless": lambda optimizer: Rise(optimizer),
    "one cycle": one_cycle,
    "in sequence": in_sequence,
    "milestones": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [5, 9, 9]),
    "function": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k)),
    "of the user's own": Scaled,
    "a list": [one_cycle, decay],
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_with_schedulers(tmp_path, name):
    def optimizer(model):
        return torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=0.01)

    straight, resumed = straight_and_interrupted(
        tmp_path,
        create_scheduler_fn=SCHEDULERS[name],
        trainer=lambda *callbacks: make(Halve(), *callbacks, optimizer=optimizer),
    )
    assert resumed == straight


def test_with_a_scheduler_that_is_told_samples(tmp_path):
    class BySamples(Trainer):
        def scheduler_step(self):
            self.scheduler.step_update(4 * self.num_updates)

    straight, resumed = straight_and_interrupted(
        tmp_path,
        create_scheduler_fn=Rise,
        trainer=lambda *callbacks: make(*callbacks, kind=BySamples),
    )
    assert resumed == straight


def test_with_a_scheduler_that_waits_for_a_metric(tmp_path):
    straight, resumed = straight_and_interrupted(
        tmp_path,
        create_scheduler_fn=lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=1.0),
        num_epochs=5,
    )
    assert resumed == straight
    assert len({values[0] for values in straight["applied"][0]["lr"]}) > 1


class Backwards(Sampler):
    """An order of the user's own, drawn from the global generator as the epoch begins."""

    def __len__(self):
        return 24

    def __iter__(self):
        shift = int(torch.randint(24, ()))
        return iter([(shift - i) % 24 for i in range(24)])


class ByEpoch(Sampler):
    """Has to be told the epoch."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return 24

    def __iter__(self):
        return iter([(i * 5 + self.epoch * 7) % 24 for i in range(24)])


class Stream(IterableDataset):
    """A data set without a length, which is read from its beginning."""

    def __iter__(self):
        data = Data()
        return (data[i] for i in range(24))


LOADERS = {
    "unshuffled": lambda: {"shuffle": False},
    "a generator of the user's own": lambda: {"generator": torch.Generator().manual_seed(5)},
    "a sampler that draws": lambda: {"sampler": Backwards()},
    "a sampler that is told the epoch": lambda: {"sampler": ByEpoch()},
    "a batch sampler": lambda: {
        "batch_sampler": torch.utils.data.BatchSampler(Backwards(), 4, drop_last=True)
    },
    "no batches": lambda: {"batch_size": None},
}


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("accumulate", [1, 4])
def test_with_data_loaders(tmp_path, name, accumulate):
    straight, resumed = straight_and_interrupted(
        tmp_path,
        make_train_dataloader_kwargs=LOADERS[name],
        gradient_accumulation_steps=accumulate,
        num_epochs=1 if name == "no batches" else 4,
        checkpoint_every=4 if name == "no batches" else 2 if accumulate == 1 else 1,
        deaths=(9, 3) if accumulate == 1 else (11, 8),
    )
    assert resumed == straight


@pytest.mark.parametrize("accumulate", [1, 4])
def test_with_a_stream(tmp_path, accumulate):
    straight, resumed = straight_and_interrupted(
        tmp_path,
        train_dataset=Stream(),
        gradient_accumulation_steps=accumulate,
        num_epochs=4,
        checkpoint_every=1,
        deaths=(11, 8),
    )
    assert resumed == straight
    assert straight["updates"] == 4 * -(-6 // accumulate)


def test_with_workers_that_draw_random_numbers(tmp_path):
    """After three batches the other one of the two workers makes the next."""
    straight, resumed = straight_and_interrupted(
        tmp_path,
        train_dataloader_kwargs={"num_workers": 2},
        num_epochs=2,
        checkpoint_every=3,
        deaths=(5,),
    )
    assert resumed == straight


class Drawing(Stream):
    """Half of its samples go to each of two workers, and each draws a random number."""

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        data = Data()
        return (data[i] for i in range(worker.id, 24, worker.num_workers))


class DrawingByEpoch(Drawing):
    """Has to be told the epoch."""

    epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return ((x + self.epoch, y) for x, y in super().__iter__())


PERSISTENT = {
    "a stream that is told the epoch": (DrawingByEpoch, dict),
    "a data set": (Data, dict),
    "a stream": (Drawing, dict),
    **{
        name: (Data, LOADERS[name])
        for name in ("a generator of the user's own", "a sampler that draws", "no batches")
    },
}


@pytest.mark.parametrize("name", PERSISTENT)
def test_with_workers_that_outlive_an_epoch(tmp_path, name):
    """Interrupted within the second epoch, and within the last."""
    data, options = PERSISTENT[name]
    per_epoch = 24 if name == "no batches" else 6
    straight, resumed = straight_and_interrupted(
        tmp_path,
        make_train_dataset=data,
        make_train_dataloader_kwargs=lambda: {
            "num_workers": 2,
            "persistent_workers": True,
            **options(),
        },
        gradient_accumulation_steps=3,
        checkpoint_every=1,
        deaths=(per_epoch + 4, per_epoch + 2),
    )
    assert resumed == straight


def test_evaluations_with_workers_that_outlive_an_epoch(tmp_path):
    straight, resumed = straight_and_interrupted(
        tmp_path,
        eval_dataset=Data(),
        eval_dataloader_kwargs={"num_workers": 1, "persistent_workers": True, "shuffle": True},
        deaths=(9,),
    )
    assert resumed == straight
    assert len(set(straight["history"]["eval_loss_epoch"])) == 3


@pytest.mark.parametrize("generator", [None, 5])
def test_the_order_is_the_same_however_the_workers_live(generator):
    orders = []

    class See(TrainerCallback):
        def on_train_step_end(self, trainer, batch, **kwargs):
            orders[-1].append(batch.tolist())

    class Batches(Trainer):
        def calculate_train_batch_loss(self, batch):
            weight = self.model.first.weight
            return {"loss": (weight * 0).sum(), "batch_size": len(batch)}

    for options in (
        {},
        {"num_workers": 1},
        {"num_workers": 1, "persistent_workers": True},
    ):
        orders.append([])
        if generator is not None:
            options["generator"] = torch.Generator().manual_seed(generator)
        data = torch.arange(24)
        train(make(See(), kind=Batches), train_dataset=data, train_dataloader_kwargs=options)
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0]) == 18


class Doubled(Data):
    """Reads many samples at once."""

    file = None

    def __getitems__(self, indices):
        return [(2 * self[i][0], self[i][1]) for i in indices]


def open_file(worker_id):
    torch.utils.data.get_worker_info().dataset.file = worker_id


def test_data_sets_are_themselves_in_workers(tmp_path):
    class WithFile(Doubled):
        def __getitem__(self, index):
            assert self.file is not None
            return super().__getitem__(index)

    trainer = train(
        make(),
        train_dataset=WithFile(),
        num_epochs=1,
        train_dataloader_kwargs={"num_workers": 2, "worker_init_fn": open_file},
    )
    assert trainer.num_updates == 6
    assert trainer._train_dataloader.dataset.size == 24


class WithFileInPart(Data):
    """Has a data set of its own, under the name that what is put around a data set often uses."""

    def __init__(self):
        super().__init__()
        self.dataset = Data(7)
        self.dataset.file = None

    def __getitem__(self, index):
        assert self.dataset.file is not None
        return super().__getitem__(index)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_are_initialised_with_the_user_s_data_set(persistent):
    def open_part(worker_id):
        worker = torch.utils.data.get_worker_info()
        assert type(worker.dataset) is WithFileInPart
        worker.dataset.dataset.file = worker_id

    options = {"num_workers": 1, "worker_init_fn": open_part, "persistent_workers": persistent}
    trainer = train(
        make(),
        train_dataset=WithFileInPart(),
        num_epochs=2,
        train_dataloader_kwargs=options,
        eval_dataset=WithFileInPart(),
        eval_dataloader_kwargs=options,
    )
    assert trainer.num_updates == 12
    loader = trainer._train_dataloader
    assert loader.dataset.dataset.size == 7
    loader.dataset.dataset = None
    assert trainer.train_dataset.dataset is None
    assert sorted(index for batch in loader.batch_sampler for index in batch) == list(range(24))


def test_batches_of_workers_do_not_draw_the_same(tmp_path):
    seen = []

    class See(TrainerCallback):
        def on_train_step_end(self, trainer, batch, **kwargs):
            seen.extend(batch[0][:, 1].tolist())

    train(make(See()), num_epochs=2, train_dataloader_kwargs={"num_workers": 2})
    assert len(set(seen)) == 48


class Skipping(Trainer):
    """Some steps meet gradients that are not finite, which a scaler skips."""

    def _create_accelerator(self):
        accelerator = super()._create_accelerator()
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
        accelerator.native_amp = True
        return accelerator

    def calculate_train_batch_loss(self, batch):
        output = super().calculate_train_batch_loss(batch)
        if (self.run.loop.epoch, self.run.loop.batch) in [(0, 1), (1, 2)]:
            output["loss"] = output["loss"] * float("inf")
        return output


def test_with_a_scaler_that_skips_steps(tmp_path):
    def scale(trainer):
        return trainer._accelerator.scaler.get_scale()

    class KeepScale(TrainerCallback):
        def on_training_run_end(self, trainer, **kwargs):
            scales.append(scale(trainer))

    scales = []
    straight, resumed = straight_and_interrupted(
        tmp_path,
        create_scheduler_fn=one_cycle,
        trainer=lambda *callbacks: make(KeepScale(), *callbacks, kind=Skipping),
    )
    assert straight["updates"] == 18
    del straight["history"]["train_loss_epoch"][:2], resumed["history"]["train_loss_epoch"][:2]
    assert resumed == straight
    assert scales[0] == scales[1] != 8.0


def test_with_averages_patience_metrics_and_evaluations(tmp_path):
    data = Data()
    made = []

    def trainer(*callbacks):
        metrics = {
            "mae": MeanAbsoluteError(),
            "both": MetricCollection([R2Score(), MeanAbsoluteError()]),
        }
        made.append(
            [
                ModelEmaCallback(decay=0.5, save_path=tmp_path / "ema.pt"),
                EarlyStoppingCallback(early_stopping_patience=9, early_stopping_threshold=0.1),
                TorchMetricsCallback(metrics, phases=("train", "eval")),
                StepBasedEvaluationCallback(5),
            ]
        )
        return make(*made[-1], *callbacks)

    straight, resumed = straight_and_interrupted(tmp_path, trainer=trainer, eval_dataset=data)
    assert resumed == straight
    assert len(straight["history"]["train_both_MeanAbsoluteError"]) == 3
    (average, patience, *_), (average_too, patience_too, *_) = made[0], made[-1]
    for name, value in average.ema_model.state_dict().items():
        assert torch.equal(value, average_too.ema_model.state_dict()[name])
    assert patience.state_dict() == patience_too.state_dict()
    assert patience.early_stopping_patience_counter


class Sum:
    """A metric that cannot say what it has come to."""

    def __init__(self):
        self.value = 0.0

    def update(self, outputs, targets):
        self.value += len(targets)

    def compute(self):
        return self.value

    def reset(self):
        self.value = 0.0


def test_a_metric_without_a_state_says_that_it_covers_the_rest_only(tmp_path):
    with pytest.raises(Interrupted):
        train(make(DieAt(5), TorchMetricsCallback({"n": Sum()}, phases="train")), tmp_path)
    with pytest.warns(UserWarning, match="metric 'n' has no state in the checkpoint"):
        resumed = train(make(TorchMetricsCallback({"n": Sum()}, phases="train")), tmp_path)
    assert resumed.run_history.get_metric_values("train_n") == [8.0, 24.0, 24.0]


@pytest.mark.parametrize("event", ["on_train_epoch_end", "on_eval_epoch_end", "on_eval_step_end",
                                   "on_training_run_epoch_end", "on_training_run_end"])  # fmt: skip
def test_interrupted_after_the_last_batch_of_an_epoch(tmp_path, event):
    kwargs = {"eval_dataset": Data(), "num_epochs": 2, "checkpoint_every": 3}
    straight = train(make(), tmp_path / "straight", **kwargs)
    for _ in range(2 if event != "on_training_run_end" else 1):
        with pytest.raises(Interrupted):
            train(make(DieAt(1, event)), tmp_path / "died", **kwargs)
    resumed = train(make(), tmp_path / "died", **kwargs)
    assert outcome(resumed) == outcome(straight)


@pytest.mark.parametrize("event", ["on_train_epoch_end", "on_eval_step_end"])
def test_interrupted_after_a_limit_within_an_epoch(tmp_path, event):
    kwargs = {"eval_dataset": Data(), "max_num_train_steps": 8}
    straight = train(make(), tmp_path / "straight", **kwargs)
    with pytest.raises(Interrupted):
        train(
            make(DieAt({"on_train_epoch_end": 2}.get(event, 7), event)), tmp_path / "died", **kwargs
        )
    assert names(tmp_path / "died")[-1] == "update_000000008"
    resumed = train(make(), tmp_path / "died", **kwargs)
    assert outcome(resumed) == outcome(straight)
    assert len(straight_losses := resumed.run_history.get_metric_values("eval_loss_epoch")) == 2
    assert straight_losses == straight.run_history.get_metric_values("eval_loss_epoch")


def test_hooks_at_the_run_s_start_may_draw_random_numbers(tmp_path):
    class Drawing(Trainer):
        def training_run_start(self):
            torch.rand(7)

    def trainer(*callbacks):
        return make(*callbacks, kind=Drawing)

    straight, resumed = straight_and_interrupted(tmp_path, trainer=trainer, checkpoint_every=6)
    assert resumed == straight


def test_without_a_seed_too(tmp_path):
    torch.manual_seed(11)
    straight = train(make(), tmp_path / "straight", seed=None)
    torch.manual_seed(11)
    with pytest.raises(Interrupted):
        train(make(DieAt(9)), tmp_path / "died", seed=None)
    torch.manual_seed(12345)
    resumed = train(make(), tmp_path / "died", seed=None)
    assert outcome(resumed) == outcome(straight)


def test_checkpoints_do_not_change_a_run(tmp_path):
    assert outcome(train(make(), tmp_path)) == outcome(train(make()))


def test_a_finished_run_is_not_trained_again(tmp_path):
    finished = train(make(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for _ in range(2):
        again = train(make(DieAt(1)), tmp_path)
        assert outcome(again) == outcome(finished)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


class SaveAt(TrainerCallback):
    """Saves a training state when an event comes for the n-th time."""

    def __init__(self, folder, event, n):
        self.folder, self.left = folder, n
        setattr(self, event, self._count)

    def _count(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            trainer.save_training_state(self.folder)


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize(
    ("event", "n"),
    [
        ("on_train_epoch_start", 2),
        ("on_train_step_start", 3),
        ("on_train_step_start", 7),
        ("on_train_step_end", 3),
        ("on_train_step_end", 8),
        ("on_optimizer_step_end", 2),
        ("on_update_end", 3),
        ("on_train_epoch_end", 2),
        ("on_eval_epoch_start", 2),
        ("on_eval_step_end", 3),
        ("on_eval_epoch_end", 1),
        ("on_training_run_epoch_end", 2),
    ],
)
def test_a_state_may_be_saved_at_any_moment(tmp_path, event, n, accumulate):
    def trainer(*callbacks):
        return make(ScheduleMonitorCallback(), *callbacks)

    kwargs = {
        "eval_dataset": Data(8),
        "gradient_accumulation_steps": accumulate,
        "gradient_clip_norm": 1.0,
        "create_scheduler_fn": CosineLrScheduler.create_scheduler_fn(),
    }
    saver = SaveAt(tmp_path / "state", event, n)
    straight = outcome(train(trainer(saver), **kwargs))
    assert saver.left <= 0
    assert outcome(train(trainer(), resume=tmp_path / "state", **kwargs)) == straight


def test_a_state_that_is_asked_for_before_a_stop_is_written(tmp_path):
    class SaveAndStop(TrainerCallback):
        def on_train_step_start(self, trainer, **kwargs):
            if trainer.num_updates == 2:
                trainer.save_training_state(tmp_path / "state")
                raise StopTrainingError("enough")

    train(make(SaveAndStop()))
    assert train(make(), resume=tmp_path / "state").num_updates == 18


def test_generators_are_left_as_the_finished_run_left_them(tmp_path):
    def two_runs(second):
        torch.manual_seed(5)
        trainer = train(make(), tmp_path / "first", max_num_train_steps=8, seed=None)
        return outcome(train(trainer, tmp_path / second, seed=None))

    assert two_runs("second") == two_runs("third")  # the second time the first one is over


class AddGroupAt(TrainerCallback):
    """Adds a parameter group in the middle of the run, as unfreezing does."""

    def on_resume_start(self, trainer, num_param_groups, **kwargs):
        if num_param_groups == 2:
            self._add(trainer)

    def on_train_epoch_start(self, trainer, **kwargs):
        if trainer.run_history.current_epoch == 2 and len(trainer.optimizer.param_groups) == 1:
            self._add(trainer)
            trainer.scheduler.step_update(trainer.num_updates)

    def _add(self, trainer):
        parameters = [*trainer.get_model().first.requires_grad_(True).parameters()]
        trainer.optimizer.add_param_group({"params": parameters, "lr": 0.001})


def test_with_parameter_groups_that_were_added_on_the_way(tmp_path):
    def trainer(*callbacks):
        def last(model):
            model.first.requires_grad_(False)
            return torch.optim.SGD(model.last.parameters(), lr=0.005, momentum=0.9)

        return make(AddGroupAt(), *callbacks, optimizer=last)

    straight, resumed = straight_and_interrupted(
        tmp_path,
        trainer=trainer,
        create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(),
        checkpoint_every=2,
    )
    assert resumed == straight
    assert len(straight["groups"]) == 2


@pytest.mark.parametrize(
    "event", ["on_training_run_epoch_end", "on_update_end", "on_train_step_end"]
)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_stopped_run_is_over_unless_told_where_to_go_on(tmp_path, event, accumulate, capsys):
    class Enough(TrainerCallback):
        def __init__(self):
            self.calls = 0
            setattr(self, event, self._stop)

        def _stop(self, trainer, **kwargs):
            self.calls += 1
            if self.calls == 2:
                raise StopTrainingError("that will do")

    kwargs = {"gradient_accumulation_steps": accumulate}
    stopped = train(make(Enough()), tmp_path, **kwargs)
    capsys.readouterr()
    again = train(make(DieAt(1)), tmp_path, **kwargs)
    assert outcome(again) == outcome(stopped)
    assert "it was stopped: that will do" in capsys.readouterr().out
    on = train(make(), tmp_path, resume=tmp_path / names(tmp_path)[-1], **kwargs)
    assert on.num_updates == 18 // accumulate


class CountBatches(TrainerCallback):
    """Counts in its state, event by event."""

    def __init__(self):
        self.counts = {}
        for event in ("on_train_step_start", "on_optimizer_step_end", "on_train_step_end"):
            setattr(self, event, partial(self._count, event))

    def _count(self, event, trainer, **kwargs):
        self.counts[event] = self.counts.get(event, 0) + 1

    def state_dict(self):
        return dict(self.counts)

    def load_state_dict(self, state_dict):
        self.counts = dict(state_dict)


@pytest.mark.parametrize(
    ("event", "times"),
    [("on_train_step_end", n) for n in range(1, 8)]
    + [("on_train_step_start", 3), ("on_optimizer_step_end", 1), ("on_optimizer_step_end", 2)],
)
@pytest.mark.parametrize("saves_itself", [True, False])
def test_a_run_goes_on_exactly_from_a_stop_within_an_update(tmp_path, event, times, saves_itself):
    kwargs = {
        "gradient_accumulation_steps": 3,
        "create_scheduler_fn": CosineLrScheduler.create_scheduler_fn(),
    }
    straight = train(make(counts := CountBatches()), **kwargs)
    stopped = make(CountBatches(), StopAt(event, times))
    train(stopped, tmp_path / "run" if saves_itself else None, **kwargs)
    if saves_itself:
        state = tmp_path / "run" / names(tmp_path / "run")[-1]
    else:
        stopped.save_training_state(state := tmp_path / "state")
    again = train(make(counts_again := CountBatches()), resume=state, **kwargs)
    assert outcome(again) == outcome(straight)
    assert counts_again.counts == counts.counts


def test_a_method_that_stops_a_run_within_an_update_leaves_the_checkpoint_before(tmp_path):
    class Stopping(Trainer):
        def calculate_train_batch_loss(self, batch):
            if self.num_updates == 5:
                raise StopTrainingError("enough")
            return super().calculate_train_batch_loss(batch)

    straight = outcome(train(make()))
    with pytest.warns(UserWarning, match="stopped within an update, by a method of the Trainer"):
        train(make(kind=Stopping), tmp_path)
    assert names(tmp_path) == ["update_000000004"]
    assert outcome(train(make(), tmp_path)) == straight


def test_a_later_run_that_is_stopped_has_nothing_of_one_that_was_interrupted(tmp_path):
    def drawn_after_a_stop(trainer):
        torch.manual_seed(17)
        train(trainer, seed=None)
        return torch.rand(1)

    interrupted = make(DieAt(2), StopAt("on_train_epoch_start", 2))
    with pytest.raises(Interrupted):
        train(interrupted, tmp_path, gradient_accumulation_steps=3)
    fresh_one = make(StopAt("on_train_epoch_start"))
    assert drawn_after_a_stop(interrupted) == drawn_after_a_stop(fresh_one)


def test_a_second_run_of_the_same_trainer_can_resume(tmp_path):
    straight = outcome(train(make(), tmp_path / "straight"))
    trainer = make(dying := DieAt(9))
    with pytest.raises(Interrupted):
        train(trainer, tmp_path / "died")
    dying.left = 99
    assert outcome(train(trainer, tmp_path / "died")) == straight


def test_an_epoch_is_the_default_interval(tmp_path):
    train(make(), tmp_path, checkpoint_every=None)
    assert names(tmp_path) == [f"update_{n:09d}_end" for n in (6, 12, 18)]


def test_a_run_saves_at_its_end_too(tmp_path):
    train(make(), tmp_path, checkpoint_every=7)
    assert names(tmp_path) == ["update_000000007", "update_000000014", "update_000000018_end"]


def test_tied_and_sparse_state_and_other_optimizers(tmp_path):
    class Tied(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("counts", torch.zeros(3, dtype=torch.int64))
            self.register_buffer("phase", torch.ones(2, dtype=torch.complex128))
            self.same = self.first

    for optimizer in (
        lambda m: torch.optim.AdamW(m.parameters(), lr=torch.tensor(0.001), betas=(0.8, 0.9)),
        lambda m: torch.optim.Adagrad(m.parameters(), lr=0.1),
        lambda m: torch.optim.Rprop(m.parameters(), lr=0.1),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        straight, resumed = straight_and_interrupted(
            folder,
            deaths=(7,),
            trainer=lambda *c, optimizer=optimizer: make(*c, model=Tied(), optimizer=optimizer),
        )
        assert resumed == straight


def test_progress_counts_on(tmp_path):
    calls = itertools.count()

    class Count(TrainerCallback):
        def on_train_step_end(self, trainer, step, **kwargs):
            steps.append(step)
            next(calls)

    steps = []
    with pytest.raises(Interrupted):
        train(make(DieAt(10)), tmp_path)
    train(make(Count()), tmp_path)
    assert steps == [*range(2, 6), *range(6)]
    assert sgd(Net()).defaults["momentum"] == 0.9
