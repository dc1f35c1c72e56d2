"""Checked by mypy: a callback may name the Trainer that it is for."""

from typing import Any

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import EarlyStoppingCallback, TrainerCallback


class Mine(Trainer):
    extra = 1


class Typed(TrainerCallback):
    def on_train_step_end(
        self, trainer: Mine, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        self.seen = trainer.extra + trainer.run.num_updates


class Stopping(EarlyStoppingCallback):
    def on_training_run_epoch_end(self, trainer: Trainer, **kwargs: Any) -> None:
        super().on_training_run_epoch_end(trainer, **kwargs)
        self.updates: int = trainer.run.num_updates


callbacks: list[TrainerCallback] = [Typed(), Stopping(1)]
