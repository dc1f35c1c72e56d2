"""Evaluating within training epochs."""

from __future__ import annotations

import sys
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import whole


class StepBasedEvaluationCallback(TrainerCallback):
    """Runs an evaluation epoch after every so many optimizer updates of a run.

    Its events have ``is_intermediate=True``; its loss is recorded as ``intermediate_eval_loss``.
    Each module then returns to the mode, training or evaluation, that it was in.

    Args:
        eval_every_n_steps: Number of optimizer updates between two evaluations.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is below 1; or, at the start of a run, there is no evaluation dataset.
    """

    eval_every_n_steps: int = sys.maxsize

    def __init__(self, eval_every_n_steps: int) -> None:
        self.eval_every_n_steps = whole("eval_every_n_steps", eval_every_n_steps, minimum=1)

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.eval_dataset is None:
            raise ValueError(
                "StepBasedEvaluationCallback has nothing to evaluate on. Write "
                "train(…, eval_dataset=…)."
            )

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.run.num_updates % self.eval_every_n_steps == 0:
            trainer.run.evaluate(is_intermediate=True)
