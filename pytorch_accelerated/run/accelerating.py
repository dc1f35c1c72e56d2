"""What a Trainer is told of devices, precision and compilation, handed to Accelerate and torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, is_compiled_module

from pytorch_accelerated import checks
from pytorch_accelerated.run.processes import runs_on_cpu

_PRECISIONS = ("no", "bf16", "fp16", "fp8")
_MARK = "asked_for_by_a_trainer"  # in Accelerate's state, which all Accelerators of a process share


def checked_precision(value: object) -> str | None:
    """Return a precision that Accelerate knows; ``None`` leaves it to its launcher."""
    if value is not None and value not in _PRECISIONS:
        raise ValueError(
            f"mixed_precision={value!r} has to be one of {', '.join(map(repr, _PRECISIONS))}, or "
            f"None for what Accelerate's launcher says. Write mixed_precision='bf16'."
        )
    return value


def checked_device(value: object) -> torch.device | None:
    """Return a device; ``None`` leaves it to Accelerate."""
    if value is None or isinstance(value, torch.device):
        return value
    if not isinstance(value, str):
        raise checks.wrong_kind("device", value, "the name of a device. Write device='cpu'.")
    try:
        return torch.device(value)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={value!r}: {reason}. Write device='cpu' or 'cuda'.") from None


def checked_compile(value: object) -> dict[str, Any] | None:
    """Return the arguments of `torch.compile`; ``None`` if nothing is to be compiled."""
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, Mapping):
        raise checks.wrong_kind(
            "compile",
            value,
            "True, False, or a dict of arguments of torch.compile. Write "
            "compile={'mode': 'max-autotune'}.",
        )
    known = [*inspect.signature(torch.compile).parameters][1:]
    unknown = [name for name in value if name not in known]
    if unknown:
        raise ValueError(
            f"compile holds {unknown[0]!r}, which torch.compile does not take: it takes "
            f"{', '.join(known)}."
        )
    return dict(value)


def make_accelerator(trainer: Any) -> Accelerator:
    """Return what knows the processes and their devices, with the trackers."""
    log_with, project_dir = trainer._log_with, trainer._project_dir
    precision, device = trainer._mixed_precision, trainer._asked_device
    _forget_other_precision(precision)
    try:
        accelerator = Accelerator(
            cpu=runs_on_cpu() or (device is not None and device.type == "cpu"),
            mixed_precision=precision,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            log_with=log_with,
            project_dir=project_dir,
        )
    except ValueError as error:
        if precision is not None and "precision" in str(error):
            raise ValueError(f"mixed_precision={precision!r}: {error}") from error
        if log_with is None:
            raise
        hint = ""
        if project_dir is None and "logging_dir" in str(error):
            hint = " It is the project_dir of the Trainer: give one with log_with"
        raise ValueError(f"log_with is {log_with!r}: {error}{hint}") from error
    if precision is not None:
        AcceleratorState._shared_state[_MARK] = precision
    _check_device(device, accelerator.device)
    return accelerator


def _forget_other_precision(precision: str | None) -> None:
    """Let Accelerate take a precision that differs from that of an earlier run of this process.

    What other code has set up stays, unless this Trainer is to have another precision.
    """
    state = AcceleratorState._shared_state
    if not state.get("_mixed_precision"):
        return
    is_left_over = precision is None and _MARK in state
    if is_left_over or precision not in (None, state["_mixed_precision"]):
        AcceleratorState._reset_state(reset_partial_state=False)


def _check_device(asked: torch.device | None, given: torch.device) -> None:
    if asked is None or (asked.type == given.type and asked.index in (None, given.index or 0)):
        return
    instead = "start a process of its own for it" if asked.type == "cpu" else "leave device out"
    if asked.type == given.type:
        instead = f"set the environment variable CUDA_VISIBLE_DEVICES={asked.index}"
    raise ValueError(
        f"device={str(asked)!r}: Accelerate gives this process {str(given)!r}. Otherwise {instead}."
    )


def compiled(trainer: Any) -> Any:
    """Return the prepared model, compiled if that was asked for and has not been done."""
    arguments, model = trainer._compile, trainer.model
    if arguments is None or is_compiled_module(model):
        return model
    return torch.compile(model, **arguments)
