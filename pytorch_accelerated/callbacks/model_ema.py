"""Following the model with an average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytorch_accelerated.callbacks.base import CallbackHandler
from pytorch_accelerated.callbacks.save_best_model import SaveBestModelCallback
from pytorch_accelerated.ema import ModelEma

_PREFIX = "ema_model_"


class ModelEmaCallback(SaveBestModelCallback):
    """Keeps an exponential moving average of the model, evaluates it, and saves the best one.

    The average moves at each optimizer update. After each evaluation epoch of a training run the
    averaged model is evaluated too; its metrics have the prefix ``ema_model_``. It is never
    loaded into the Trainer's model. Each of several instances goes by its own evaluations; the
    run history holds the values of all, one after another.

    Args:
        decay: How much of the average stays at each update, from 0 to 1.
        evaluate_during_training: Whether to evaluate the averaged model. If not, it is saved
            after each epoch.
        save_path: File to write.
        watch_metric: Name of the metric in the run history that tells the best one.
        greater_is_better: Whether larger values are better.
        model_ema: Makes the average of a model: ``model_ema(model, decay=decay)``.
        callbacks: The only callbacks that are active while the averaged model is evaluated.

    Attributes:
        ema_model: The average, whose ``module`` is the averaged model; ``None`` before a run.
    """

    last_in: tuple[str, ...] = ()

    decay: float = 0.99
    evaluate_during_training: bool = True
    save_path: str | Path = "ema_model.pt"
    watch_metric: str = "ema_model_eval_loss_epoch"
    save_optimizer: bool = False
    save_scheduler: bool = False
    load_saved_checkpoint: bool = False
    model_ema: Callable[..., ModelEma] = ModelEma
    ema_model: ModelEma | None = None
    _is_training_run: bool = False
    _own_value: float | None = None
    _resumed_average: dict[str, Any] | None = None

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
        super().__init__(
            save_path=save_path,
            watch_metric=watch_metric,
            greater_is_better=greater_is_better,
            reset_on_train=True,
            save_optimizer=False,
            save_scheduler=False,
            load_saved_checkpoint=False,
        )
        self.decay = decay
        self.evaluate_during_training = evaluate_during_training
        self.model_ema = model_ema
        self._handler = CallbackHandler(callbacks)

    @cached_property
    def _handler(self) -> CallbackHandler:
        return CallbackHandler()

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if self.evaluate_during_training:
            super().on_training_run_start(trainer, **kwargs)
        self._begin(trainer)

    def _begin(self, trainer: Any) -> ModelEma:
        ema_model = self.ema_model = self.model_ema(trainer.get_model(), decay=self.decay)
        if self._resumed_average is not None:
            ema_model.load_state_dict(self._resumed_average)
            self._resumed_average = None
        self._is_training_run = True
        self._own_value = None
        return ema_model

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        (self.ema_model or self._begin(trainer)).update(trainer.model)

    def on_eval_epoch_end(self, trainer: Any, is_intermediate: bool = False, **kwargs: Any) -> None:
        if not (self.evaluate_during_training and self._is_training_run) or is_intermediate:
            return
        with self._averaged_model(trainer):
            history = trainer.run_history
            prefix = history.metric_name_prefix
            before = len(history.get_metric_values(self.watch_metric))
            history.set_metric_name_prefix(_PREFIX)
            try:
                with trainer.run.showing(callback_handler=self._handler):
                    trainer.run.evaluate()
            finally:
                history.set_metric_name_prefix(prefix)
            # Until the epoch ends, another instance may record its own under the same name.
            is_recorded = len(history.get_metric_values(self.watch_metric)) > before
            self._own_value = super().current_value(trainer) if is_recorded else None

    def current_value(self, trainer: Any) -> float:
        return super().current_value(trainer) if self._own_value is None else self._own_value

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        if self.evaluate_during_training:
            super().on_training_run_epoch_end(trainer, **kwargs)
        else:
            self._save(trainer, {})

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._is_training_run = False  # the last one may have ended in an error

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        self._is_training_run = False
        self._make_plain()

    def after_run(self, trainer: Any) -> None:
        self._make_plain()
        self._handler.call_event("after_run", trainer)

    def _save(self, trainer: Any, extra: dict[str, Any]) -> None:
        with self._averaged_model(trainer):
            super()._save(trainer, extra)

    @contextmanager
    def _averaged_model(self, trainer: Any) -> Iterator[None]:
        """The averaged model in the place of the trained one."""
        averaged = (self.ema_model or self._begin(trainer)).module
        if trainer.run.num_processes > 1:
            # Batch statistics are of each process's own batches; the first one's count.
            for buffer in averaged.buffers():
                torch.distributed.broadcast(buffer, 0)
        with trainer.run.showing(model=averaged):
            yield

    def _make_plain(self) -> None:
        # It is a copy of the model as the run had prepared it, and was evaluated like that.
        if self.ema_model is not None:
            _forget_preparation(self.ema_model.module)

    def state_dict(self) -> dict[str, Any]:
        average = {} if self.ema_model is None else self.ema_model.state_dict()
        return {**super().state_dict(), "average": average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._resumed_average = state_dict["average"] or None


def _forget_preparation(module: nn.Module) -> None:
    """Take off what Accelerate has put on a module that has no wrapper any more."""
    attributes = vars(module)
    attributes.pop("_is_accelerate_prepared", None)
    forward = attributes.pop("_original_forward", None)
    if forward is None:
        return
    del attributes["forward"]
    if getattr(forward, "__func__", forward) is not type(module).forward:
        module.forward = forward
