"""Metrics that are gathered batch by batch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import entries, wrong_kind
from pytorch_accelerated.tracking import LossTracker


def outputs_and_targets(batch: Any, batch_output: dict[str, Any]) -> tuple[Any, ...]:
    """Return the model's outputs and the batch's second element."""
    if "model_outputs" not in batch_output:
        raise ValueError(
            "a metric needs the model's outputs: return them as model_outputs from "
            "calculate_eval_batch_loss and calculate_train_batch_loss"
        )
    return batch_output["model_outputs"], batch[1]


class TorchMetricsCallback(TrainerCallback):
    """Computes metrics over whole epochs and records them in the run history.

    A metric is any object with ``update(*arguments)``, ``compute()`` and ``reset()``, such as
    those of the torchmetrics library, which also bring the processes' values together by
    themselves; or a function of the same arguments that returns one number for a batch, or one
    for each of its samples, of which the mean over the samples of all processes is taken. A
    metric *m* is recorded as ``train_m``, ``eval_m``, ``intermediate_eval_m`` or
    ``evaluation_m`` (in an evaluation run); one that computes a dict *d* as ``…_m_key`` for each
    of its keys. Tables, such as confusion matrices, are recorded as lists.

    What a training epoch has come to is part of checkpoints if the metric is one of torchmetrics,
    or has ``state_dict()`` and ``load_state_dict(state)``.

    Args:
        metrics: Metrics by name.
        phases: In which epochs to compute them: ``"train"``, ``"eval"`` or both.
        get_arguments: Gives the arguments of ``update`` from the batch and what the loss
            calculation returned; by default the model's outputs and the batch's second element.

    Raises:
        TypeError: ``metrics`` is not a mapping, or a metric lacks one of the three methods.
        ValueError: There is not any metric, or a phase is unknown.
    """

    has_state_of_each_process = True
    records_metrics: bool = True

    phases: tuple[str, ...] = ("eval",)
    _is_in_epoch: bool = False
    _resumed: dict[str, Any] | None = None
    _metrics = cached_property(lambda self: dict[str, dict[str, Any]]())

    def __init__(
        self,
        metrics: Mapping[str, Any],
        phases: Iterable[str] = ("eval",),
        get_arguments: Callable[[Any, dict[str, Any]], tuple[Any, ...]] = outputs_and_targets,
    ) -> None:
        if not isinstance(metrics, Mapping):
            raise wrong_kind(
                "metrics",
                metrics,
                "a dict of metrics by name. Write metrics={'accuracy': Accuracy(…)}.",
            )
        if not metrics:
            raise ValueError("metrics={} is empty. Write metrics={'accuracy': Accuracy(…)}.")
        metrics = {name: _as_metric(name, metric) for name, metric in metrics.items()}
        for name, metric in metrics.items():
            for method in ("update", "compute", "reset"):
                if not callable(getattr(metric, method, None)):
                    raise TypeError(
                        f"metrics[{name!r}]={metric!r} has no method {method}(), but has to have "
                        f"update(), compute() and reset(), or to be a function."
                    )
        phases = [phases] if isinstance(phases, str) else entries("phases", phases, "['eval']")
        self.phases = tuple(phases)
        if not self.phases or not set(self.phases) <= {"train", "eval"}:
            raise ValueError(
                f"phases={phases!r} has to hold 'train', 'eval' or both. Write phases=['eval']."
            )
        if not callable(get_arguments):
            raise wrong_kind(
                "get_arguments", get_arguments, "a function of the batch and the output."
            )
        self.get_arguments = get_arguments
        # An evaluation may come in the middle of a training epoch, so each has its own.
        self._metrics = {phase: copy.deepcopy(dict(metrics)) for phase in self.phases}

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        for metrics in self._metrics.values():
            for metric in metrics.values():
                _prepare(metric, trainer.device)

    on_evaluation_run_start = on_training_run_start

    def on_train_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        self._reset("train")
        states, self._resumed = self._resumed, None
        for name, metric in self._of("train").items():
            if states is None:
                continue
            if states.get(name) is not None:
                metric.load_state_dict(states[name])
                _prepare(metric, trainer.device)
                for part in getattr(metric, "modules", tuple)():
                    part._update_count = 1  # else torchmetrics warns of a metric without updates
            else:
                warnings.warn(
                    f"the metric {name!r} has no state in the checkpoint: its value of this epoch "
                    f"will be that of the rest of it",
                    stacklevel=2,
                )
        self._is_in_epoch = True

    def on_eval_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        self._reset("eval")

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        self._update("train", batch, batch_output)

    def on_eval_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], **kwargs: Any
    ) -> None:
        self._update("eval", batch, batch_output)

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._record(trainer, "train", "train")
        self._is_in_epoch = False

    def on_eval_epoch_end(self, trainer: Any, is_intermediate: bool = False, **kwargs: Any) -> None:
        name = "evaluation" if trainer.run.train_loader is None else "eval"
        self._record(trainer, "eval", "intermediate_eval" if is_intermediate else name)

    def _of(self, phase: str) -> dict[str, Any]:
        return self._metrics.get(phase, {})

    def _reset(self, phase: str) -> None:
        for metric in self._of(phase).values():
            metric.reset()

    @torch.no_grad()
    def _update(self, phase: str, batch: Any, batch_output: dict[str, Any]) -> None:
        metrics = self._of(phase)
        if metrics:
            arguments = self.get_arguments(batch, batch_output)
            for metric in metrics.values():
                if isinstance(metric, _MeanOf):
                    metric.update(arguments, batch_output["batch_size"])
                else:
                    metric.update(*arguments)

    def _record(self, trainer: Any, phase: str, recorded_as: str) -> None:
        for name, metric in self._of(phase).items():
            result = metric.compute()
            values = result if isinstance(result, Mapping) else {None: result}
            for key, value in values.items():
                full_name = f"{recorded_as}_{name}" + ("" if key is None else f"_{key}")
                plain = value.tolist() if hasattr(value, "tolist") else value
                trainer.run_history.update_metric(full_name, plain)

    def state_dict(self) -> dict[str, Any]:
        if not self._is_in_epoch:
            return {}
        return {"metrics": {name: _state_of(metric) for name, metric in self._of("train").items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict["metrics"]


class _MeanOf:
    """The mean over samples of a function's values, as a metric."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        self.tracker = LossTracker()
        self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        self.device, self.dtype = device, self.tracker.totals(device).dtype

    def reset(self) -> None:
        self.tracker.reset()

    def update(self, arguments: tuple[Any, ...], batch_size: Any) -> None:
        value = torch.as_tensor(self.function(*arguments), dtype=self.dtype)
        if value.numel() != 1 and len(value) != batch_size:
            raise ValueError(
                f"metrics[{self.name!r}] returned {tuple(value.shape)} numbers for a batch of "
                f"{int(batch_size)}, but has to return one, or one for each sample."
            )
        self.tracker.update(value.mean(), batch_size)

    def compute(self) -> float | None:
        totals = self.tracker.totals(self.device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(totals)
        total, count = totals.tolist()
        return total / count if count else None

    def state_dict(self) -> dict[str, Any]:
        return {"totals": self.tracker.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tracker.load_state_dict(state["totals"])


def _as_metric(name: str, metric: Any) -> Any:
    """Return a metric, made of a function if it is one."""
    if isinstance(metric, type):
        raise TypeError(
            f"metrics[{name!r}] is a class, but has to be an instance of it, or a function. Write "
            f"{metric.__name__}(…)."
        )
    is_function = callable(metric)
    return _MeanOf(name, metric) if is_function and not hasattr(metric, "update") else metric


def _state_of(metric: Any) -> Any:
    """Return a metric's state, or ``None`` if it has none that could be loaded."""
    if hasattr(metric, "compute_groups"):
        metric.items(copy_state=False)  # members of a collection get what one of them has counted
    return metric.state_dict() if hasattr(metric, "load_state_dict") else None


def _prepare(metric: Any, device: torch.device) -> None:
    """Have a metric on a device, and its sums in its state, which those of torchmetrics omit."""
    if hasattr(metric, "to"):
        metric.to(device)
    if hasattr(metric, "persistent"):
        metric.persistent(True)
