"""Weights of a checkpoint, whole or in shards, as one file for other programs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytorch_accelerated import checks
from pytorch_accelerated.checkpoints.contents import model_in
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    checkpoints_in,
    flush,
    is_one,
    read_manifest,
    verify,
)
from pytorch_accelerated.checkpoints.tensors import pieces_of

# What a checkpoint has besides its model, in files of their own.
_OTHERS = ("optimizer.safetensors", "state.safetensors")


def export_model(folder: str | os.PathLike[str], output: str | os.PathLike[str]) -> Path:
    """Write the weights of a checkpoint to one safetensors file, completely or not at all.

    Each tensor is read, put together from its shards and written by itself, so memory holds one,
    however large the model is. All that is not a tensor is left out.

    Args:
        folder: A checkpoint, or a folder of them, of which the furthest one counts.
        output: The file, which is replaced if it is there.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: The checkpoint is damaged, or there is none.
        FileNotFoundError: There is no such folder.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import load_file
        >>> from pytorch_accelerated import Trainer
        >>> from pytorch_accelerated.checkpoints import export_model
        >>> data = torch.utils.data.TensorDataset(torch.ones(8, 1), torch.ones(8, 1))
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> trainer = Trainer(model, torch.nn.MSELoss(), optimizer, callbacks=())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = trainer.train(data, num_epochs=1, checkpoint_dir=f"{folder}/run")
        ...     export_model(f"{folder}/run", f"{folder}/model.safetensors").name
        ...     sorted(load_file(f"{folder}/model.safetensors"))
        'update_000000001_end'
        ['bias', 'weight']
    """
    start = checks.folder("folder", folder)
    if not start.is_dir():
        raise FileNotFoundError(f"there is no folder {start}")
    found = [start] if is_one(start) else checkpoints_in(start)
    if not found:
        raise CheckpointError(f"{start} is not a checkpoint, and there is none in it")
    verify_model(found[-1])
    _, tensors = model_in(found[-1])
    write_tensors(Path(output), pieces_of(tensors, (one.read() for one in tensors.values())))
    return found[-1]


def verify_model(folder: Path) -> None:
    """Compare the files that have a checkpoint's model with the manifest."""
    verify(folder, read_manifest(folder)["files"].keys() - {*_OTHERS})


def write_tensors(output: Path, pieces: Iterable[Any]) -> None:
    """Write a file in pieces, completely or not at all."""
    aside = output.with_name(f".{output.name}.writing")
    try:
        with aside.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            flush(file.fileno())
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
