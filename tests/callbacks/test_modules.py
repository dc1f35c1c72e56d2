import torch
from torch import nn

from pytorch_accelerated.callbacks import MoveModulesToDeviceCallback


class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.moves = []

    def to(self, device):
        self.moves.append(device)
        return self


def test_modules_of_the_trainer_move_at_the_start_of_both_kinds_of_run(
    make_trainer, train, dataset
):
    trainer = make_trainer(MoveModulesToDeviceCallback)
    trainer.metric, trainer.note = Placed(), "no module"
    train(trainer)
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert trainer.metric.moves == [torch.device("cpu")] * 2


def test_the_model_is_left_to_accelerate(make_trainer, train):
    class Model(nn.Linear):
        moves = 0

    model = Model(3, 1)
    trainer = make_trainer(MoveModulesToDeviceCallback, model=model)
    trainer.other = Placed()
    model.to = None  # would fail if it was called by the callback
    callback = MoveModulesToDeviceCallback()
    callback.on_training_run_start(trainer)
    assert len(trainer.other.moves) == 1


def test_properties_are_not_run(make_trainer, train, dataset):
    kind = type(make_trainer())

    class WithProperty(kind):
        @property
        def expensive(self):
            raise RuntimeError("asked")

    train(make_trainer(MoveModulesToDeviceCallback, trainer=WithProperty))
