"""Checkpoints of training runs: safe to be killed while writing, safe to read from anyone."""

from pytorch_accelerated.checkpoints.averaging import (
    average_checkpoints,
    averaging_weights,
    write_average,
)
from pytorch_accelerated.checkpoints.export import export_model
from pytorch_accelerated.checkpoints.folders import CheckpointError, checkpoints_in, verify
from pytorch_accelerated.checkpoints.listing import CheckpointInfo, list_checkpoints, main, table
from pytorch_accelerated.checkpoints.writer import PREEMPTED_EXIT_CODE, Preempted

__all__ = [
    "PREEMPTED_EXIT_CODE",
    "CheckpointError",
    "CheckpointInfo",
    "Preempted",
    "average_checkpoints",
    "averaging_weights",
    "checkpoints_in",
    "export_model",
    "list_checkpoints",
    "main",
    "table",
    "verify",
    "write_average",
]
