"""Whether mixed precision let an update through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_accelerated.run.run import Run


def step(run: Run, make: Callable[[], Any]) -> bool:
    """Make an update, as ``make`` does; return whether the weights were updated.

    A gradient scaler skips an update whose gradients are not finite, and lowers the scale then. A
    fused optimizer is called all the same, and skips the update itself, which Accelerate takes for
    one that was made.
    """
    scaler = run.accelerator.scaler
    if scaler is None or not getattr(run.optimizer, "_step_supports_amp_scaling", False):
        make()
        return not run.accelerator.optimizer_step_was_skipped
    scale = scaler.get_scale()
    make()
    return bool(scaler.get_scale() >= scale)
