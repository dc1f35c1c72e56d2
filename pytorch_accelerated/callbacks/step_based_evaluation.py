"""Evaluating within training epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.utils import whole_number

if TYPE_CHECKING:
    from pytorch_accelerated.callbacks.view import TrainerView


class StepBasedEvaluationCallback(TrainerCallback):
    """Runs an evaluation epoch after every so many optimizer updates of a run.

    Its events have ``is_intermediate=True``; its loss is recorded as ``intermediate_eval_loss``.
    Each module then returns to the mode, training or evaluation, that it was in.

    Args:
        eval_every_n_steps: Number of optimizer updates between two evaluations.

    Raises:
        ValueError: It is no positive whole number; or, at the start of a run, there is no
            evaluation dataset.
    """

    def __init__(self, eval_every_n_steps: int) -> None:
        self.eval_every_n_steps = whole_number("eval_every_n_steps", eval_every_n_steps)

    def on_training_run_start(self, trainer: TrainerView, **kwargs: Any) -> None:
        if trainer.eval_dataset is None:
            raise ValueError(
                "StepBasedEvaluationCallback has nothing to evaluate on: pass an eval_dataset "
                "to train()"
            )

    def on_update_end(self, trainer: TrainerView, **kwargs: Any) -> None:
        if trainer.run.num_updates % self.eval_every_n_steps == 0:
            trainer.run.evaluate(is_intermediate=True)
