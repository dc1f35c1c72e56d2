"""The weighted mean of saved weights that stands for a decay of the learning rate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pytorch_accelerated import checks
from pytorch_accelerated.checkpoints.contents import STATE_FILE, join, model_in
from pytorch_accelerated.checkpoints.export import verify_model, write_tensors
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    checkpoints_in,
    read_manifest,
)
from pytorch_accelerated.checkpoints.shards import Stored
from pytorch_accelerated.checkpoints.tensors import pieces
from pytorch_accelerated.schedules import Schedule, linear
from pytorch_accelerated.schedules.expression import parse_schedule

_LINEAR = linear(end=0.0)


def average_checkpoints(
    folder: str | os.PathLike[str], last: int = 10, like: Schedule | str = _LINEAR
) -> dict[str, Any]:
    """Return the weighted mean of the last checkpoints' weights, which stands for a decay.

    ``mean = Σ c_j · weights_j`` with ``c_j = v(u_j) − v(u_(j+1))``, and ``v(u_j)`` for the last.
    u_j are the updates from the first of these checkpoints to the j-th. v is ``like``, laid out
    over all of these updates and once more the distance between the first two. So a line to 0 is
    the plain mean of checkpoints at equal distances. From the first checkpoint on, the mean has
    moved by what the weights moved from each checkpoint to the next, times v at the latter: as if
    the learning rate had decayed so, but with the gradients of the run as it was.

    Numbers that are not whole are added in float64 and returned in their own type; whole numbers,
    truth values and all that is no tensor are those of the last checkpoint. Each tensor is read by
    itself, so memory holds one model and one tensor. Of checkpoints after the same update the last
    one counts. Running statistics of batch norm are averaged as they are: estimate them anew with
    ``torch.optim.swa_utils.update_bn``.

    Args:
        folder: The folder of a run's checkpoints.
        last: How many checkpoints, counted from the end, at least 2.
        like: The decay, from 1.0 down, with lengths that are shares or left out; or its text.

    Returns:
        The model's state by name, for ``load_state_dict``.

    Raises:
        CheckpointError: A checkpoint is damaged, or holds another model than the last one.
        ValueError: There are fewer checkpoints, or ``like`` rises, falls below 0, does not begin
            at 1.0, or has lengths in updates.

    See arXiv:2507.17634.

    Example:
        >>> import tempfile, torch
        >>> from pytorch_accelerated import Trainer
        >>> from pytorch_accelerated.checkpoints import average_checkpoints
        >>> data = torch.utils.data.TensorDataset(torch.ones(8, 1), torch.ones(8, 1))
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> trainer = Trainer(model, torch.nn.MSELoss(), optimizer, callbacks=())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = trainer.train(data, num_epochs=4, checkpoint_dir=folder)
        ...     mean = average_checkpoints(folder, last=3)
        >>> list(mean)
        ['weight', 'bias']
    """
    weights = _weights_in(folder, last, like)
    newest = [*weights][-1]
    mean = _mean(weights)
    try:
        return dict(join(model_in(newest)[0], mean))
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{newest / STATE_FILE} is damaged: {error!r}") from None


def write_average(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    last: int = 10,
    like: Schedule | str = _LINEAR,
) -> dict[Path, float]:
    """Write the tensors of `average_checkpoints` to a safetensors file, completely or not at all.

    Args:
        folder: The folder of a run's checkpoints.
        output: The file, which is replaced if it is there.
        last: How many checkpoints, counted from the end, at least 2.
        like: The decay, from 1.0 down, with lengths that are shares or left out; or its text.

    Returns:
        The checkpoints, with the weight that each had.
    """
    weights = _weights_in(folder, last, like)
    write_tensors(Path(output), pieces(_mean(weights)))
    return weights


def averaging_weights(updates: Sequence[int], like: Schedule | str = _LINEAR) -> list[float]:
    """Return the weights with which the mean of checkpoints stands for a decay.

    Args:
        updates: After how many updates each checkpoint was saved, at least two, rising.
        like: The decay; see `average_checkpoints`.

    Example:
        >>> from pytorch_accelerated.checkpoints import averaging_weights
        >>> averaging_weights([600, 700, 800, 900])
        [0.25, 0.25, 0.25, 0.25]
        >>> weights = averaging_weights([600, 700, 800, 900], "sqrt(end=0.0)")
        >>> [round(weight, 3) for weight in weights]
        [0.5, 0.207, 0.159, 0.134]
    """
    plan = parse_schedule(like) if isinstance(like, str) else like
    if not isinstance(plan, Schedule):
        raise checks.wrong_kind("like", like, "a schedule. Write like=linear(end=0.0).")
    if not plan.is_relative:
        raise ValueError(
            f"like={plan!r} has its own length in updates, but is laid out over the checkpoints. "
            "Leave the length out, such as in like=linear(end=0.0)."
        )
    gone = [update - updates[0] for update in updates]
    plan = plan.over(gone[-1] + gone[1])
    values = [plan(update) for update in gone]
    is_decay = all(one >= other for one, other in zip(values, [*values[1:], 0.0], strict=True))
    if values[0] != 1.0 or not is_decay:
        shown = ", ".join(f"{value:g}" for value in values)
        raise ValueError(
            f"like={like!r} has to begin at 1.0 and fall, to 0 at the lowest, but has the values "
            f"{shown} at the checkpoints. Write, for example, like=linear(end=0.0)."
        )
    return [one - other for one, other in zip(values, [*values[1:], 0.0], strict=True)]


def _weights_in(
    folder: str | os.PathLike[str], last: int, like: Schedule | str
) -> dict[Path, float]:
    """Return the last checkpoints of a folder, verified, and the weight of each."""
    folder, last = checks.folder("folder", folder), checks.whole("last", last, 2)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    by_update: dict[int, Path] = {}
    for path in reversed(checkpoints_in(folder)):
        if len(by_update) == last:
            break
        by_update.setdefault(read_manifest(path)["position"].get("num_updates", 0), path)
    if len(by_update) < last:
        raise ValueError(
            f"last={last}: {folder} holds checkpoints after {len(by_update)} different counts of "
            f"updates. An average needs at least 2 of these"
            + (f": write last={len(by_update)}." if len(by_update) > 1 else ".")
        )
    updates = sorted(by_update)
    weights = averaging_weights(updates, like)
    for path in by_update.values():
        verify_model(path)
    return {by_update[update]: one for update, one in zip(updates, weights, strict=True)}


def _mean(weights: Mapping[Path, float]) -> dict[str, Tensor]:
    """Return the mean of the tensors in the checkpoints' files of weights."""
    files = {path: model_in(path)[1] for path in weights}
    newest = [*files][-1]
    names = [*files[newest]]
    for path, file in files.items():
        for name in {*names} ^ {*file}:
            there, other = (path, newest) if name not in names else (newest, path)
            raise CheckpointError(
                f"{there} has the tensor {name!r}, which {other} does not have: they are of "
                f"different models. Average fewer, with a smaller last"
            )
    return {name: _mean_of(name, files, weights) for name in names}


def _mean_of(
    name: str, files: Mapping[Path, Mapping[str, Stored]], weights: Mapping[Path, float]
) -> Tensor:
    newest = [*files][-1]
    own = files[newest][name].read()
    total = torch.zeros(own.shape, dtype=torch.float64)
    for path, file in files.items():
        one = own if path == newest else file[name].read()
        if (one.shape, one.dtype) != (own.shape, own.dtype):
            raise CheckpointError(
                f"{path} has {name!r} with the shape {list(one.shape)} and {one.dtype}, {newest} "
                f"with {list(own.shape)} and {own.dtype}: they are of different models. Average "
                f"fewer, with a smaller last"
            )
        if weights[path]:  # 0 times an infinity is not 0
            total.add_(one.to(torch.float64), alpha=weights[path])
    return total.to(own.dtype) if own.is_floating_point() else own
