"""Evaluating within training epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytorch_accelerated.callbacks.base import TrainerCallback

if TYPE_CHECKING:
    from pytorch_accelerated.trainer import Trainer


class StepBasedEvaluationCallback(TrainerCallback):
    """Runs an evaluation epoch after every so many optimizer updates of a run.

    Its events have ``is_intermediate=True``; its loss is recorded as ``intermediate_eval_loss``.
    Each module returns to the mode, training or evaluation, that it was in.

    Args:
        eval_every_n_steps: number of optimizer updates between two evaluations.

    Raises:
        ValueError: it is no positive whole number; or, at the start of a run, there is no
            evaluation dataset.
    """

    def __init__(self, eval_every_n_steps: int) -> None:
        if eval_every_n_steps < 1:
            raise ValueError(
                f"eval_every_n_steps is {eval_every_n_steps}: give a number of optimizer "
                f"updates, at least 1"
            )
        self.eval_every_n_steps = eval_every_n_steps
        self._num_updates = 0
        self._is_resumed = False

    def on_training_run_start(self, trainer: Trainer, **kwargs: Any) -> None:
        if not self._is_resumed:
            self._num_updates = 0
        self._is_resumed = False
        if trainer.eval_dataset is None:
            raise ValueError(
                "StepBasedEvaluationCallback has nothing to evaluate on: pass an eval_dataset "
                "to train()"
            )

    def on_update_end(self, trainer: Trainer, **kwargs: Any) -> None:
        self._num_updates += 1
        if self._num_updates % self.eval_every_n_steps:
            return
        modes = {module: module.training for module in trainer.model.modules()}
        tracker = trainer._loss_tracker
        trainer._loss_tracker = type(tracker)()
        try:
            trainer._run_eval_epoch(trainer._eval_dataloader, is_intermediate=True)
        finally:
            trainer._loss_tracker = tracker
            for module, is_training in modes.items():
                module.training = is_training

    def state_dict(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_updates = state_dict["num_updates"]
        self._is_resumed = True
