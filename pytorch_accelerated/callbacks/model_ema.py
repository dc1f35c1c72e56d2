"""Following the model with an average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import CallbackHandler
from pytorch_accelerated.callbacks.metric_watch import SaveBestModelCallback
from pytorch_accelerated.checks import wrong_kind
from pytorch_accelerated.ema import ModelEma, checked_decay

_PREFIX = "ema_model_"


class ModelEmaCallback(SaveBestModelCallback):
    """Keeps an exponential moving average of the model, evaluates it, and saves the best one.

    The average moves at each optimizer update. After each evaluation epoch of a training run the
    model is evaluated once more, while it holds the averaged weights; then it gets its own back.
    These metrics have the prefix ``ema_model_``. With several instances, those of the second one
    have the prefix ``ema_model_2_``, and so on, and so has the metric that it watches.

    Args:
        decay: How much of the average stays at each update, from 0 to 1.
        evaluate_during_training: Whether to evaluate the averaged model. If not, it is saved
            after each epoch.
        save_path: File to write.
        watch_metric: Name of the metric that tells the best one, with the prefix ``ema_model_``.
        greater_is_better: Whether larger values are better.
        model_ema: Makes the average of a model: ``model_ema(model, decay=decay)``.
        callbacks: The only callbacks that are active while the averaged model is evaluated.

    Attributes:
        ema_model: The average, whose ``module`` is the averaged model; ``None`` before a run.

    Raises:
        TypeError: ``decay`` is not a number, or ``model_ema`` cannot be called.
        ValueError: ``decay`` is not within 0 to 1; or, at the start of a run, there is no
            evaluation dataset.
    """

    records_metrics: bool = True

    decay: float = 0.99
    evaluate_during_training: bool = True
    save_path: str | Path = "ema_model.pt"
    watch_metric: str = "ema_model_eval_loss_epoch"
    save_optimizer: bool = False
    save_scheduler: bool = False
    load_saved_checkpoint: bool = False
    model_ema: Callable[..., ModelEma] = ModelEma
    ema_model: ModelEma | None = None
    _prefix: str = _PREFIX
    _resumed_average: dict[str, Any] | None = None
    _handler = cached_property(lambda self: CallbackHandler())

    def __init__(
        self,
        decay: float = 0.99,
        evaluate_during_training: bool = True,
        save_path: str | Path = "ema_model.pt",
        watch_metric: str = "ema_model_eval_loss_epoch",
        greater_is_better: bool = False,
        model_ema: Callable[..., ModelEma] = ModelEma,
        callbacks: Iterable[Any] = (),
    ) -> None:
        super().__init__(save_path, watch_metric, greater_is_better)
        self.save_optimizer = self.save_scheduler = self.load_saved_checkpoint = False
        if not callable(model_ema):
            raise wrong_kind(
                "model_ema",
                model_ema,
                "callable, to make an average of a model. Write model_ema=ModelEma.",
            )
        self.decay = checked_decay(decay)
        self.evaluate_during_training = evaluate_during_training
        self.model_ema = model_ema
        self._handler = CallbackHandler(callbacks)

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if self.evaluate_during_training:
            super().on_training_run_start(trainer, **kwargs)
        self._begin(trainer)

    def _begin(self, trainer: Any) -> ModelEma:
        ema_model = self.ema_model = self.model_ema(trainer.get_model(), decay=self.decay)
        if self._resumed_average is not None:
            ema_model.load_state_dict(self._resumed_average)
            self._resumed_average = None
        averages = [one for one in trainer.callback_handler if isinstance(one, ModelEmaCallback)]
        number = averages.index(self) + 1
        self._prefix = _PREFIX if number == 1 else f"{_PREFIX}{number}_"
        return ema_model

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        average = self.ema_model or self._begin(trainer)
        with trainer.run.evaluation_weights():
            average.update(trainer.model)

    def on_eval_epoch_end(self, trainer: Any, is_intermediate: bool = False, **kwargs: Any) -> None:
        is_training = trainer.run.train_loader is not None
        if is_intermediate or not (is_training and self.evaluate_during_training):
            return
        history = trainer.run_history
        prefix = history.metric_name_prefix
        history.set_metric_name_prefix(self._prefix)
        try:
            with (
                self._averaged_model(trainer),
                trainer.run.showing(callback_handler=self._handler),
            ):
                trainer.run.evaluate()
        finally:
            history.set_metric_name_prefix(prefix)

    def watched_name(self) -> str:
        return self.watch_metric.replace(_PREFIX, self._prefix, 1)

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        if self.evaluate_during_training:
            super().on_training_run_epoch_end(trainer, **kwargs)
        else:
            self._save(trainer, {})

    def after_run(self, trainer: Any) -> None:
        self._handler.call_event("after_run", trainer)

    def _save(self, trainer: Any, extra: dict[str, Any]) -> None:
        with self._averaged_model(trainer):
            super()._save(trainer, extra)

    @contextmanager
    def _averaged_model(self, trainer: Any) -> Iterator[None]:
        """Have the model hold the averaged weights."""
        average = self.ema_model or self._begin(trainer)
        with trainer.run.evaluation_weights(), average.applied_to(trainer.model):
            if trainer.run.num_processes > 1:
                # Batch statistics are of each process's own batches; the first one's count.
                for buffer in trainer.model.buffers():
                    torch.distributed.broadcast(buffer, 0)
            yield

    def state_dict(self) -> dict[str, Any]:
        average = {} if self.ema_model is None else self.ema_model.state_dict()
        return {**super().state_dict(), "average": average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._resumed_average = state_dict["average"] or None
