"""Run under torchrun by test_callbacks_distributed.py: prints a line of JSON for each process."""

import json
import sys
import warnings
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn
from torch.utils.data import TensorDataset
from torchmetrics import MeanAbsoluteError

from pytorch_accelerated.callbacks import (
    ConvertSyncBatchNormCallback,
    EarlyStoppingCallback,
    LimitBatchesCallback,
    LimitEvalStepsCallback,
    LogToTrackersCallback,
    ModelEmaCallback,
    SaveBestModelCallback,
    SaveTrainingStateCallback,
    StepBasedEvaluationCallback,
    TerminateOnNaNCallback,
    TorchMetricsCallback,
    TrainerCallback,
)
from pytorch_accelerated.trainer import Trainer

folder = Path(sys.argv[1])
x = torch.randn(26, 3, generator=torch.Generator().manual_seed(0))
dataset = TensorDataset(x, x.sum(dim=1, keepdim=True))


class BadOnOneProcess(nn.Module):
    """A loss that turns NaN at the second call, on the last process only."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, output, target):
        self.calls += 1
        loss = nn.functional.mse_loss(output, target)
        is_bad = self.calls == 2 and PartialState().is_last_process
        return loss * float("nan") if is_bad else loss


class Losses(TrainerCallback):
    def __init__(self):
        self.train, self.num_eval = [], []

    def on_train_step_end(self, trainer, batch_output, **kwargs):
        self.train.append(batch_output["loss"].item())

    def on_eval_epoch_start(self, trainer, **kwargs):
        self.num_eval.append(0)

    def on_eval_step_end(self, trainer, **kwargs):
        self.num_eval[-1] += 1


def make(*callbacks, model=None, loss=None):
    if model is None:
        model = nn.Linear(3, 1)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return Trainer(model, loss or nn.MSELoss(), optimizer, callbacks)


def train(trainer, num_epochs=1, **kwargs):
    trainer.train(dataset, num_epochs, dataset, per_device_batch_size=2, seed=1, **kwargs)
    return trainer


def nan_on_one_process():
    nan = TerminateOnNaNCallback(check_every=2)
    trainer = train(make(nan, loss=BadOnOneProcess()), num_epochs=50)
    return {"triggered": nan.triggered, "calls": trainer.loss_func.calls}


def rotating_states():
    states = folder / "states"
    saver = SaveTrainingStateCallback(states, save_every_n_steps=1, max_checkpoints=2)
    train(make(saver), num_epochs=1)
    PartialState().wait_for_everyone()
    return sorted(path.name for path in states.iterdir())


def best_and_early():
    trainer = make(
        EarlyStoppingCallback(early_stopping_threshold=10.0),
        SaveBestModelCallback(folder / "best.pt"),
    )
    train(trainer, num_epochs=9)
    return {
        "epochs": len(trainer.run_history.get_metric_values("eval_loss_epoch")),
        "weight": trainer.get_model().weight.tolist(),
    }


def average():
    ema = ModelEmaCallback(decay=0.5, save_path=folder / "ema.pt")
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    trainer = train(make(ema, StepBasedEvaluationCallback(3), model=model), num_epochs=2)
    history = trainer.run_history
    return {
        "weight": ema.ema_model.module[0].weight.tolist(),
        "losses": history.get_metric_values("ema_model_eval_loss_epoch"),
        "intermediate": len(history.get_metric_values("intermediate_eval_loss")),
    }


def metric():
    trainer = train(make(TorchMetricsCallback({"mae": MeanAbsoluteError()})))
    with torch.no_grad():
        expected = (trainer.get_model()(x) - dataset.tensors[1]).abs().mean().item()
    return [trainer.run_history.get_latest_metric("eval_mae"), expected]


def tracker():
    losses, tracking = (
        Losses(),
        LogToTrackersCallback("tensorboard", folder, project_name="run", flush_every=3),
    )
    train(make(losses, tracking))
    return losses.train


def limits():
    losses = Losses()
    train(make(losses, LimitBatchesCallback(3), LimitEvalStepsCallback(1, False)))
    train(make(losses, LimitEvalStepsCallback(6, False)))
    return [len(losses.train), losses.num_eval]


def sync_batch_norm_on_cpu():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    trainer = make(ConvertSyncBatchNormCallback, model=model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(trainer)
    messages = [str(warning.message) for warning in caught]
    return [
        type(trainer.get_model()[1]).__name__,
        sum("cannot be synchronised on CPU" in message for message in messages),
    ]


CASES = (
    nan_on_one_process,
    rotating_states,
    best_and_early,
    average,
    metric,
    tracker,
    limits,
    sync_batch_norm_on_cpu,
)

if __name__ == "__main__":
    results = {case.__name__: case() for case in CASES}
    state = PartialState()
    (folder / f"results_{state.process_index}.json").write_text(json.dumps(results))
    state.wait_for_everyone()
    state.destroy_process_group()
