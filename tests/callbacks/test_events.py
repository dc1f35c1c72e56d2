import pathlib

import pytest
from torch import nn

from pytorch_accelerated.callbacks import EVENTS, SaveTrainingStateCallback, TrainerCallback
from pytorch_accelerated.finetuning import ModelFreezer


class Record(TrainerCallback):
    def __init__(self):
        self.events = []


def recorder(event):
    return lambda self, trainer, **kwargs: self.events.append(event.removeprefix("on_"))


for name in EVENTS:
    setattr(Record, name, recorder(name))

BATCH = ["train_step_start", "train_step_end"]
UPDATING_BATCH = ["train_step_start", "optimizer_step_end", "train_step_end", "update_end"]
EVALUATION = ["eval_epoch_start", *["eval_step_start", "eval_step_end"] * 2, "eval_epoch_end"]


def test_a_training_run_fires_its_events_in_the_documented_order(make_trainer, train, dataset):
    record = Record()
    train(
        make_trainer(record),
        gradient_accumulation_steps=2,
        max_num_train_steps=2,
        eval_dataloader_kwargs={"batch_size": 12},
    )
    assert record.events == [
        "init_end", "prepare_start", "prepare_end", "training_run_start", "train_epoch_start",
        *BATCH, *UPDATING_BATCH, *BATCH, *UPDATING_BATCH,
        "train_epoch_end", *EVALUATION, "training_run_epoch_end", "training_run_end",
    ]  # fmt: skip


def test_an_evaluation_run_fires_its_events_in_the_documented_order(make_trainer, dataset):
    record = Record()
    make_trainer(record).evaluate(dataset, per_device_batch_size=12)
    assert record.events == [
        "init_end", "prepare_start", "prepare_end", "evaluation_run_start", *EVALUATION,
        "evaluation_run_end",
    ]  # fmt: skip


def test_frozen_modules_stay_in_eval_mode_in_training_epochs(make_trainer, train, probe):
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 1), nn.Dropout())
    ModelFreezer(model).freeze(0, 1, set_modules_as_eval=True)
    modes = []
    watch = probe(
        on_train_step_start=lambda trainer: modes.append([m.training for m in trainer.get_model()])
    )
    train(make_trainer(watch, model=model), num_epochs=2)
    assert modes == [[False, False, True, True]] * 12


def test_a_frozen_module_trains_in_training_mode_unless_eval_was_asked_for(
    make_trainer, train, probe
):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    ModelFreezer(model).freeze()
    modes = []
    watch = probe(on_train_step_start=lambda trainer: modes.append(trainer.get_model()[0].training))
    trainer = make_trainer(watch, model=model)
    train(trainer)
    train(trainer)
    assert modes == [True] * 12


def test_an_unsafe_callback_state_is_refused_when_saving(make_trainer, train, tmp_path):

    class Unsafe(TrainerCallback):
        def state_dict(self):
            return {"path": pathlib.PurePosixPath("x")}

    trainer = make_trainer(Unsafe, SaveTrainingStateCallback(tmp_path))
    with pytest.raises(TypeError, match=r"\['callbacks'\]\['Unsafe'\]\['path'\] is a pathlib"):
        train(trainer)
