import contextlib
import datetime
import functools
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import SaveBestModelCallback
from pytorch_accelerated.checkpoints import CheckpointError
from pytorch_accelerated.schedulers import CosineLrScheduler
from tests.trainer.tiny import Record, StopAt, linear_decay, make_trainer, numbers, ones

RUN = {"train_dataset": ones(8), "per_device_batch_size": 2}  # 4 updates an epoch
COSINE = CosineLrScheduler.create_scheduler_fn()


def momentum_trainer(*callbacks, kind=Trainer):
    trainer = make_trainer(*callbacks, kind=kind, lr=1.0)
    trainer.optimizer.param_groups[0]["momentum"] = 0.5
    return trainer


class SaveAt(Record):
    """Saves a training state at the n-th call of an event."""

    def __init__(self, folder, event, n):
        super().__init__()
        self.folder, self.left = folder, n
        setattr(self, event, self._save)

    def _save(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            trainer.save_training_state(self.folder, {"mine": 3})
            self.num_done = trainer.num_updates


def test_a_file_holds_model_optimizer_scheduler_and_the_users_items(tmp_path):
    path = tmp_path / "new folder" / "best.pt"
    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=COSINE)
    trainer.save_checkpoint(path, {"score": 0.5, "tensor": torch.ones(2)})

    plain = torch.load(path, weights_only=True)
    assert list(plain) == [
        "model_state_dict", "optimizer_state_dict", "score", "tensor", "scheduler_state_dict",
    ]  # fmt: skip
    other = momentum_trainer()
    loaded = other.load_checkpoint(path)
    assert loaded["score"] == 0.5
    assert other.model.weight == trainer.model.weight
    assert other.optimizer.state_dict()["state"] == trainer.optimizer.state_dict()["state"]

    trainer.save_checkpoint(path, save_optimizer=False, save_scheduler=False)
    assert list(torch.load(path, weights_only=True)) == ["model_state_dict"]
    assert os.listdir(path.parent) == ["best.pt"]


def test_a_file_can_be_written_and_read_before_any_run(tmp_path):
    for per_node in (True, False):
        trainer = momentum_trainer()
        torch.nn.init.constant_(trainer.model.weight, 7.0)
        trainer.save_checkpoint(tmp_path / "file.pt", save_per_node=per_node)
        other = momentum_trainer()
        other.load_checkpoint(tmp_path / "file.pt")
        assert other.model.weight == 7.0


def test_a_failed_save_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "file.pt"
    trainer = momentum_trainer()
    trainer.save_checkpoint(path)
    before = path.read_bytes()

    def fail(contents, target):
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("torch.save", fail)
    with pytest.raises(OSError, match="disk full"):
        trainer.save_checkpoint(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.pt"]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_a_compiled_model_is_saved_without_a_prefix(tmp_path):
    trainer = momentum_trainer()
    trainer.model = torch.compile(trainer.model)
    trainer.save_checkpoint(tmp_path / "file.pt")
    assert list(torch.load(tmp_path / "file.pt")["model_state_dict"]) == ["weight"]
    trainer.load_checkpoint(tmp_path / "file.pt")


@pytest.mark.parametrize(
    "value",
    [Path("a"), datetime.date(2020, 1, 1), np.float64(0.5), {"deep": [np.int64(3)]}, object],
)
def test_what_could_not_be_loaded_is_refused_when_saving(tmp_path, value):
    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1)
    for save in (trainer.save_checkpoint, trainer.save_training_state):
        with pytest.raises(TypeError, match=r"'mine'.* cannot go into a checkpoint"):
            save(tmp_path / "there", {"mine": value})
    assert os.listdir(tmp_path) == []


def test_an_optimizer_without_a_state_is_refused_when_saving_unless_it_is_left_out(tmp_path):
    trainer = make_trainer()
    trainer.optimizer = {"one": trainer.optimizer}
    with pytest.raises(TypeError, match=r"a dict, .* pass save_optimizer=False"):
        trainer.save_checkpoint(tmp_path / "file.pt")
    assert [*tmp_path.iterdir()] == []
    trainer.save_checkpoint(tmp_path / "file.pt", save_optimizer=False)
    assert "optimizer_state_dict" not in trainer.load_checkpoint(tmp_path / "file.pt")


def test_the_trainers_own_names_are_reserved(tmp_path):
    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1)
    with pytest.raises(ValueError, match="holds model_state_dict, which the Trainer writes"):
        trainer.save_checkpoint(tmp_path / "file.pt", {"model_state_dict": {}})
    with pytest.raises(ValueError, match="holds current_epoch, loop"):
        trainer.save_training_state(tmp_path / "state", {"loop": 1, "current_epoch": 2})
    assert os.listdir(tmp_path) == []


def test_errors_of_a_schedulers_state_are_raised(tmp_path):
    class Broken(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [1.0]

        def state_dict(self):
            raise RuntimeError("no state")

    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=Broken)
    with pytest.raises(RuntimeError, match="no state"):
        trainer.save_checkpoint(tmp_path / "file.pt")


def test_an_optimizers_state_without_an_optimizer_is_refused(tmp_path):
    momentum_trainer().save_checkpoint(tmp_path / "file.pt")
    trainer = momentum_trainer()
    trainer.optimizer = None
    with pytest.raises(ValueError, match="load_optimizer=False"):
        trainer.load_checkpoint(tmp_path / "file.pt")
    trainer.load_checkpoint(tmp_path / "file.pt", load_optimizer=False)


@pytest.mark.parametrize("several", [False, True])
def test_a_schedulers_state_that_is_loaded_before_a_run_is_taken_up_by_it(tmp_path, several):
    def create(optimizer):
        scheduler = CosineLrScheduler(optimizer, 2, 4, lr_min=0.0)
        return [scheduler] if several else scheduler

    straight = momentum_trainer(record := Record())
    straight.train(**RUN, num_epochs=2, create_scheduler_fn=create)

    first = momentum_trainer()
    with pytest.warns(UserWarning, match="the run has 4 updates.* ends at update 8"):
        first.train(**RUN, num_epochs=1, create_scheduler_fn=create)
    first.save_checkpoint(tmp_path / "file.pt")
    second = momentum_trainer(rest := Record())
    second.load_checkpoint(tmp_path / "file.pt")
    second.train(**RUN, num_epochs=1, create_scheduler_fn=create)
    assert rest.used == record.used[4:]
    assert second.model.weight == straight.model.weight

    unused = momentum_trainer()
    unused.load_checkpoint(tmp_path / "file.pt")
    with pytest.warns(UserWarning, match="no create_scheduler_fn: the state is dropped"):
        unused.train(**RUN, num_epochs=1)


@pytest.mark.parametrize("is_used", [False, True])
@pytest.mark.parametrize(
    "create",
    [
        lambda optimizer: CosineLrScheduler(optimizer, 2, 4, lr_min=0.0),
        linear_decay(8),
        functools.partial(lr_scheduler.StepLR, step_size=1),
        functools.partial(lr_scheduler.CosineAnnealingLR, T_max=8),
    ],
)
def test_a_state_that_is_loaded_between_runs_is_taken_up_by_the_next(tmp_path, create, is_used):
    class SaveAtFive(Record):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 5:
                trainer.save_checkpoint(tmp_path / "file.pt")

    trainer = momentum_trainer(record := SaveAtFive())
    trainer.train(**RUN, num_epochs=2, create_scheduler_fn=create)
    if not is_used:
        trainer = momentum_trainer(record := Record())
    trainer.load_checkpoint(tmp_path / "file.pt")
    before = record.used[:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the schedule ends before the run
        trainer.train(**RUN, num_epochs=2, create_scheduler_fn=create)
    straight = momentum_trainer(whole := Record())
    straight.train(**RUN, num_epochs=2, create_scheduler_fn=create)
    assert record.used[len(before) :][:3] == whole.used[5:]


@pytest.mark.parametrize("dies", [False, True])
def test_what_is_loaded_within_a_run_is_not_for_the_next(tmp_path, dies):
    class LoadFirst(Record):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 2:
                trainer.save_checkpoint(tmp_path / "file.pt")

        def on_training_run_end(self, trainer, **kwargs):
            trainer.load_checkpoint(tmp_path / "file.pt")
            if dies:
                raise KeyboardInterrupt

    best = SaveBestModelCallback(tmp_path / "best.pt", "train_loss_epoch")
    trainer = momentum_trainer(best, record := LoadFirst())
    for _ in range(2):
        with contextlib.suppress(KeyboardInterrupt):
            trainer.train(**RUN, num_epochs=2, create_scheduler_fn=COSINE)
    assert len(record.used) == 16
    assert record.used[:8] == record.used[8:]


def test_a_different_number_of_schedulers_is_refused(tmp_path):
    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=[linear_decay(4), linear_decay(4)])
    trainer.save_checkpoint(tmp_path / "file.pt")
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=linear_decay(4))
    with pytest.raises(ValueError, match="2 schedulers, but there are 1"):
        trainer.load_checkpoint(tmp_path / "file.pt")


def test_training_states_need_a_run(tmp_path):
    trainer = momentum_trainer()
    with pytest.raises(RuntimeError, match=r"call save_training_state\(\) in a callback"):
        trainer.save_training_state(tmp_path / "state")
    with pytest.raises(RuntimeError, match="resume_from="):
        trainer.load_training_state(tmp_path / "state")
    assert os.listdir(tmp_path) == []
    trainer.train(**RUN, num_epochs=1)
    trainer.evaluate(ones(2))
    trainer.save_training_state(tmp_path / "state")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint or folder of"):
        trainer.load_training_state(tmp_path / "other")


def test_every_state_of_a_run_can_be_loaded_by_itself_and_by_a_fresh_trainer(tmp_path):
    class SaveEach(Record):
        def on_update_end(self, trainer, **kwargs):
            folder = tmp_path / str(trainer.num_updates)
            trainer.save_training_state(folder)
            trainer.load_training_state(folder)

    trainer = momentum_trainer(SaveEach())
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=COSINE)
    for k in range(1, 5):
        fresh = momentum_trainer()
        fresh.train(**RUN, num_epochs=1, create_scheduler_fn=COSINE, resume_from=tmp_path / str(k))
        assert fresh.num_updates == 4
        assert fresh.model.weight == trainer.model.weight


def test_going_on_without_the_scheduler_of_a_state_is_said(tmp_path):
    trainer = momentum_trainer()
    trainer.train(**RUN, num_epochs=1, create_scheduler_fn=COSINE)
    trainer.save_training_state(tmp_path / "state")
    resumed = momentum_trainer()
    with pytest.warns(UserWarning, match="CosineLrScheduler before, none now"):
        resumed.train(**RUN, num_epochs=1, resume_from=tmp_path / "state")
    assert resumed.num_updates == 4


class Order(Trainer):
    """Notes the inputs of every batch; the loss makes each of them count."""

    def calculate_train_batch_loss(self, batch):
        self.__dict__.setdefault("seen", []).append(batch[0].tolist())
        return super().calculate_train_batch_loss(batch)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("event", "times", "limit"),
    [
        ("on_train_epoch_end", 2, None),
        ("on_training_run_epoch_end", 2, None),
        ("on_update_end", 1, None),
        ("on_update_end", 3, None),
        ("on_update_end", 4, None),
        ("on_update_end", 5, 6),
        ("on_training_run_end", 1, None),
        ("on_training_run_end", 1, 6),
    ],
)
def test_a_resumed_run_makes_what_is_left_of_it_exactly(tmp_path, event, times, limit, accumulate):
    run = {
        "train_dataset": numbers(*map(float, range(1, 20))),
        "eval_dataset": ones(2),
        "per_device_batch_size": 2,
        "num_epochs": 3,
        "gradient_accumulation_steps": accumulate,
        "max_num_train_steps": limit,
        "create_scheduler_fn": COSINE,
        "gradient_clip_norm": 1.0,
    }
    state = tmp_path / "state"
    torch.manual_seed(1)
    straight = momentum_trainer(saver := SaveAt(state, event, times), kind=Order)
    straight.train(**run)
    assert saver.left <= 0

    torch.manual_seed(2)
    resumed = momentum_trainer(rest := Record(), kind=Order)
    resumed.train(**run, resume_from=state)

    assert resumed.num_updates == straight.num_updates
    assert rest.used == saver.used[saver.num_done :]
    seen = getattr(resumed, "seen", [])
    assert seen == straight.seen[len(straight.seen) - len(seen) :]
    assert resumed.model.weight == straight.model.weight
    history, straight_history = resumed.run_history, straight.run_history
    assert history.current_epoch == straight_history.current_epoch
    name = "train_loss_epoch"
    assert history.get_metric_values(name) == straight_history.get_metric_values(name)


def test_a_training_state_may_be_called_auto(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="auto"):
        momentum_trainer().train(**RUN, num_epochs=2, resume_from="auto")
    momentum_trainer(SaveAt("auto", "on_update_end", 3)).train(**RUN, num_epochs=2)
    resumed = momentum_trainer(rest := Record())
    resumed.train(**RUN, num_epochs=2, resume_from="auto")
    assert resumed.num_updates == 8
    assert len(rest.used) == 5


def test_a_resumed_run_may_be_longer(tmp_path):
    trainer = momentum_trainer(SaveAt(tmp_path / "state", "on_training_run_end", 1))
    trainer.train(**RUN, num_epochs=2)
    with pytest.warns(UserWarning, match="num_epochs: 2 before, 3 now"):
        trainer.train(**RUN, num_epochs=3, resume_from=tmp_path / "state")
    assert trainer.num_updates == 12
    assert trainer.run_history.current_epoch == 4
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 3


def test_metadata_is_returned(tmp_path):
    trainer = momentum_trainer(SaveAt(tmp_path / "state", "on_update_end", 1))
    trainer.train(**RUN, num_epochs=1)
    metadata = trainer.load_training_state(tmp_path / "state")
    assert metadata["mine"] == 3
    assert metadata["current_epoch"] == 1


def test_a_stopped_run_can_be_resumed_from_its_end(tmp_path):
    saver = SaveAt(tmp_path / "state", "on_training_run_end", 1)
    stopped = momentum_trainer(StopAt("on_update_end", 3), saver)
    create = functools.partial(lr_scheduler.LinearLR, end_factor=0.5, total_iters=8)
    stopped.train(**RUN, num_epochs=2, create_scheduler_fn=create)
    resumed = momentum_trainer(rest := Record())
    resumed.train(**RUN, num_epochs=2, create_scheduler_fn=create, resume_from=tmp_path / "state")
    assert resumed.num_updates == 8
    assert len(rest.used) == 5


def everything(trainer):
    """What a file may change, in a form that compares."""
    optimizer = trainer.optimizer.state_dict()
    scheduler = None if trainer.scheduler is None else trainer.scheduler.state_dict()
    buffers = [value["momentum_buffer"].item() for value in optimizer["state"].values()]
    return trainer.model.weight.item(), buffers, str(optimizer["param_groups"]), scheduler


def trained(**changes):
    trainer = momentum_trainer()
    trainer.train(**{**RUN, "num_epochs": 1, "create_scheduler_fn": COSINE, **changes})
    return trainer


def write_text(path):
    path.write_text("epoch 1: loss 0.5\n")


def write_half(path):
    trained().save_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-100])


def write_weights(path):
    torch.save({"weight": torch.ones(())}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_text, "is damaged, or of another kind"),
        (Path.touch, "it is empty, or"),
        (write_half, "is damaged, or of another kind"),
        (write_weights, r"no 'model_state_dict', but holds a dict.*load_state_dict"),
        (lambda path: torch.save([1], path), "no 'model_state_dict', but holds a list"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_its_name(tmp_path, write, message):
    path = tmp_path / "best.pt"
    write(path)
    trainer = trained()
    before = everything(trainer)
    with pytest.raises(
        CheckpointError, match=rf"best\.pt is not a file of save_checkpoint.*{message}"
    ):
        trainer.load_checkpoint(path)
    assert everything(trainer) == before


def test_a_folder_is_no_file_to_load(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder.*train\(resume=…\)"):
        trained().load_checkpoint(tmp_path)


def with_two_weights():
    trainer = momentum_trainer()
    trainer.model.another = torch.nn.Parameter(torch.ones(()))
    return trainer


def with_two_groups():
    trainer = momentum_trainer()
    trainer.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(()))]})
    return trainer


def with_a_schedulers_state_of_another_kind():
    trainer = trained(create_scheduler_fn=linear_decay(4))
    trainer.model.weight.data.fill_(9.0)
    return trainer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_two_weights, "does not fit the Trainer's model: .*another"),
        (with_two_groups, "does not fit the Trainer's optimizer: .*load_optimizer=False"),
        (
            with_a_schedulers_state_of_another_kind,
            "does not fit the Trainer's scheduler: .*load_scheduler=False",
        ),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(tmp_path, make, message):
    make().save_checkpoint(tmp_path / "best.pt")
    trainer = trained(train_dataset=ones(6), create_scheduler_fn=COSINE)
    before = everything(trainer)
    with pytest.raises(ValueError, match=rf"(?s)best\.pt {message}"):
        trainer.load_checkpoint(tmp_path / "best.pt")
    assert everything(trainer) == before
    trainer.optimizer.step()  # the optimizer still holds the weights of the model
    trainer.scheduler.step()
