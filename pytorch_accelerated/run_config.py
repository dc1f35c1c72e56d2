"""A description of a run: what was asked for, and the numbers that follow from it."""

from __future__ import annotations

import copy
import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import nn

from pytorch_accelerated import checks
from pytorch_accelerated.schedules import Schedule


@dataclass(frozen=True)
class TrainerRunConfig:
    """What a training or evaluation run was asked to do, and what follows from it.

    Updates are optimizer updates. Every process makes every update, so no number of updates
    depends on the number of processes other than through the batches that each of them gets.

    Attributes:
        num_epochs: Epochs of this run; 1 in an evaluation run.
        train_per_device_batch_size: Training batch size of one process.
        train_dl_kwargs: Arguments of the training data loader; ``None`` in an evaluation run.
        eval_per_device_batch_size: Evaluation batch size of one process.
        eval_dl_kwargs: Arguments of the evaluation data loader, ``None`` if there is none.
        gradient_accumulation_steps: Batches per optimizer update, or the schedule of them.
        gradient_clip_value: Largest absolute value of a gradient element.
        train_total_batch_size: Samples per update, over all processes:
            ``train_per_device_batch_size * num_processes * gradient_accumulation_steps``;
            ``None`` if a schedule changes it.
        eval_total_batch_size: ``eval_per_device_batch_size * num_processes``.
        num_update_steps_per_epoch: Updates in a whole epoch:
            ``ceil(batches of one process / gradient_accumulation_steps)``; 0 in an evaluation
            run, ``None`` if the training data has no length, or a schedule changes it.
        num_local_update_steps_per_epoch: The same number.
        max_num_train_steps: Updates of this run, its horizon: the smaller of the given limit
            and the updates of all epochs; ``None`` if neither is known.
        is_local_process_zero: Whether this process is the first on its machine.
        is_world_process_zero: Whether this process is the first of all.
        is_distributed: Whether there are several processes.
        mixed_precision: ``"no"``, ``"fp16"``, ``"bf16"`` or ``"fp8"``.
        num_processes: Number of processes.
        gradient_clip_norm: Largest norm of all gradients together.
        max_samples: Samples after which the run ends, over all processes.
        max_items: Items, such as tokens, after which the run ends, over all processes.
        max_time: Seconds after which the run ends.
    """

    num_epochs: int
    train_per_device_batch_size: int | None
    train_dl_kwargs: dict[str, Any] | None
    eval_per_device_batch_size: int | None
    eval_dl_kwargs: dict[str, Any] | None
    gradient_accumulation_steps: int | Schedule
    gradient_clip_value: float | None
    train_total_batch_size: int | None
    eval_total_batch_size: int | None
    num_update_steps_per_epoch: int | None
    num_local_update_steps_per_epoch: int | None
    max_num_train_steps: int | None
    is_local_process_zero: bool
    is_world_process_zero: bool
    is_distributed: bool
    mixed_precision: str
    num_processes: int
    gradient_clip_norm: float | None = None
    max_samples: int | None = None
    max_items: int | None = None
    max_time: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """A deep copy as a dict, in which samplers stay the same objects."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        # A sampler may hold a whole data set.
        shared: dict[int, Any] = {}
        for kwargs in (self.train_dl_kwargs, self.eval_dl_kwargs):
            for name in ("sampler", "batch_sampler"):
                sampler = (kwargs or {}).get(name)
                shared[id(sampler)] = sampler
        return copy.deepcopy(fields, shared)


# What users ask for, checked


def batch_size(value: Any, **loader_kwargs: Any) -> Any:
    """Return a batch size, which may be ``None`` where the loaders' own arguments tell."""
    is_told = True
    for name, kwargs in loader_kwargs.items():
        if kwargs is not None and not isinstance(kwargs, Mapping):
            allowed = "a dict of arguments for the data loader"
            raise checks.wrong_kind(name, kwargs, f"{allowed}. Write {name}={{'num_workers': 2}}.")
        given = kwargs or {}
        is_told &= any(given.get(one) is not None for one in ("batch_size", "batch_sampler"))
    if value is None and is_told:
        return None
    return checks.whole("per_device_batch_size", value, 1)


def optional_count(name: str, value: Any, minimum: int = 1) -> int | None:
    """Return a count as an int; ``None`` is allowed."""
    return None if value is None else checks.whole(name, value, minimum, f"{name}=None")


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def seconds(name: str, value: Any) -> int | None:
    """Return a time in whole seconds; ``None`` is allowed.

    Example:
        >>> seconds("max_time", "1.5h"), seconds("max_time", "2min 30s"), seconds("max_time", 90)
        (5400, 150, 90)
    """
    if isinstance(value, str):
        parts = re.findall(r"(\d+(?:\.\d+)?) *(s|min|h|d)", value)
        if not parts or "".join(map("".join, parts)) != value.replace(" ", ""):
            raise ValueError(
                f"{name}={value!r} is not a time: write seconds, or text such as '90s', '5min', "
                f"'1.5h' or '2d 12h'"
            )
        value = sum(Fraction(number) * _SECONDS[unit] for number, unit in parts)
        value = int(value) if value.denominator == 1 else float(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return optional_count(name, value)


def limits(max_samples: Any, max_items: Any, max_time: Any) -> dict[str, Any]:
    """Return the limits of a run in other units than updates, checked."""
    return {
        "max_samples": _count("max_samples", max_samples),
        "max_items": _count("max_items", max_items),
        "max_time": seconds("max_time", max_time),
    }


def _count(name: str, value: Any) -> int | None:
    is_whole = isinstance(value, float) and value.is_integer()
    return optional_count(name, int(value) if is_whole else value)  # 2e10 is a float


def checkpoint_folder(
    checkpoint_dir: str | os.PathLike[str] | None,
    checkpoint_every: int | None,
    keep_last: int | None,
    resume: str | os.PathLike[str] | None,
    resume_from: str | os.PathLike[str] | None,
) -> Path | None:
    """Return the folder of a run's checkpoints; refuse arguments that do not go together."""
    if resume_from is not None:
        checks.folder("resume_from", resume_from)
    if resume is not None:
        checks.folder("resume", resume, "that of a checkpoint in one, or 'auto'")
    if resume is not None and resume_from is not None:
        raise ValueError(f"{resume=} and {resume_from=}: give one of them")
    if checkpoint_dir is not None:
        return checks.folder("checkpoint_dir", checkpoint_dir)
    if (checkpoint_every, keep_last) != (None, None):
        raise ValueError("checkpoint_every and keep_last need a checkpoint_dir: give one")
    if resume == "auto":
        raise ValueError("resume='auto' looks for checkpoints in checkpoint_dir: give one")
    return None


def check_kinds(**given: Any) -> None:
    """Refuse objects of a wrong kind, each given by the name of its argument."""
    for name, value in given.items():
        is_class = isinstance(value, type)
        is_right, expected = {
            "model": (isinstance(value, nn.Module), "a torch.nn.Module"),
            # Steps of the user's own may know how to use several optimizers.
            "optimizer": (
                isinstance(value, list | tuple | dict) or (hasattr(value, "step") and not is_class),
                "an optimizer. Write optimizer=torch.optim.AdamW(model.parameters()), for example",
            ),
            "loss_func": (
                value is None or (callable(value) and not is_class),
                "callable. Write loss_func=torch.nn.MSELoss(), for example",
            ),
            "run_history": (
                hasattr(value, "update_metric") and not is_class,
                "a RunHistory. Write run_history=InMemoryRunHistory(), or leave it out",
            ),
            "collate_fn": (value is None or callable(value), "callable"),
            "scheduler_metric": (
                value is None or isinstance(value, str),
                "the name of a metric. Write scheduler_metric='eval_loss_epoch', for example",
            ),
        }[name]
        if not is_right:
            raise checks.wrong_kind(name, value, f"{expected}.")
