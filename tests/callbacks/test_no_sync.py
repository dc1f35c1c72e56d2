import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytorch_accelerated.callbacks import (
    LogToTrackersCallback,
    ModelEmaCallback,
    ScheduleMonitorCallback,
    TrainerCallback,
    get_default_callbacks,
)
from tests.callbacks.test_trackers import InMemory, decay


class HostReads(TorchDispatchMode):
    """Counts operations that make the host wait for the device."""

    WAITING = ("_local_scalar_dense", "is_nonzero", "item", "equal", "nonzero", "_to_copy")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in self.WAITING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class CountWithinSteps(TrainerCallback):
    """Counts from the first batch's start to the last batch's end of each epoch."""

    last_in = ("on_update_end",)

    def __init__(self):
        self.reads, self.is_on, self.updates = HostReads(), False, 0

    def on_train_step_start(self, trainer, **kwargs):
        if not self.is_on:
            self.reads.__enter__()
            self.is_on = True

    def on_update_end(self, trainer, **kwargs):
        self.updates += 1
        if self.updates % 6 == 0:
            self.reads.__exit__(None, None, None)
            self.is_on = False


def test_the_counter_finds_a_read(make_trainer, train):
    class Read(TrainerCallback):
        def on_train_step_end(self, trainer, batch_output, **kwargs):
            batch_output["loss"].item()

    count = CountWithinSteps()
    train(make_trainer(Read, count))
    assert count.reads.found == ["_local_scalar_dense"] * 6


def test_no_step_makes_the_host_wait(make_trainer, train, tmp_path):
    count = CountWithinSteps()
    monitor = ScheduleMonitorCallback()
    callbacks = (
        *get_default_callbacks(),
        monitor,
        LogToTrackersCallback(InMemory()),
        ModelEmaCallback(save_path=tmp_path / "ema.pt"),
        count,
    )
    trainer = make_trainer(*callbacks)
    # A scheduled value may live on the device.
    trainer.optimizer.param_groups[0].update(noise=torch.tensor(0.5), initial_noise=0.5)
    train(trainer, num_epochs=3, create_scheduler_fn=decay)
    assert count.updates == 18
    assert count.reads.found == []
    assert monitor.applied["noise"] == [[0.5]] * 18
