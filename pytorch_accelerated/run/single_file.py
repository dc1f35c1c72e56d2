"""Checkpoints of one file: what cannot run code, complete or absent."""

from __future__ import annotations

import copy
import io
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.checkpoints.contents import Weights, fitted_to_optimizer, gathered
from pytorch_accelerated.checkpoints.folders import CheckpointError, flush
from pytorch_accelerated.checks import kind_of
from pytorch_accelerated.run.schedulers import each, restore
from pytorch_accelerated.schedulers.optimizers import as_one, each_of
from pytorch_accelerated.sharded import is_sharded

_ITEMS = {"model_state_dict", "optimizer_state_dict", "scheduler_state_dict"}


def read(path: Path) -> dict[str, Any]:
    """Read a file of `Trainer.save_checkpoint`, without running code from it."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder: load_checkpoint() reads a file of save_checkpoint(); continue "
            f"from a training state or a checkpoint with train(resume=…)"
        )
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is not a plain file, so nothing is read from it")
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:
        # Bytes of another kind make PyTorch raise anything; of what could run code, its message
        # advises to load it all the same.
        what = "empty" if path.stat().st_size == 0 else "damaged, or of another kind"
        raise CheckpointError(
            f"{path} is not a file of save_checkpoint(): it is {what}, or holds other things than "
            f"tensors and plain values, which could run code and are not loaded"
        ) from None
    if not isinstance(contents, dict) or "model_state_dict" not in contents:
        raise CheckpointError(
            f"{path} is not a file of save_checkpoint(): it has no 'model_state_dict', but holds a "
            f"{type(contents).__name__}. If that is a model's own state: "
            f"model.load_state_dict(torch.load(path))"
        )
    return contents


def contents_of(
    model: Any, optimizer: Any, scheduler: Any, extra: Mapping[str, Any], keeps: bool = True
) -> dict[str, Any]:
    """Return what `Trainer.save_checkpoint` writes, of which all can be loaded again.

    Processes that do not write the file keep no copies of what is split among them.
    """
    check_not_reserved(extra, _ITEMS)
    extra = dict(extra)
    if isinstance(scheduler, (list, tuple)):
        extra["scheduler_state_dict"] = [one.state_dict() for one in scheduler]
    elif scheduler is not None:
        extra["scheduler_state_dict"] = scheduler.state_dict()
    _check_loadable(extra)
    if optimizer is not None and not hasattr(optimizer, "state_dict"):
        raise TypeError(
            f"the optimizer is {kind_of(optimizer)}, which has no state_dict() to save: pass "
            f"save_optimizer=False, and save what is in it in a way of your own"
        )
    contents = {"model_state_dict": Weights(model).state_dict()}
    if optimizer is not None:
        contents["optimizer_state_dict"] = optimizer.state_dict()
    return {**(gathered(contents, keeps) if is_sharded(model) else contents), **extra}


def _check_loadable(contents: Mapping[str, Any]) -> None:
    """Refuse what could be saved, but not be read back without running code from the file."""
    for name, item in contents.items():
        file = io.BytesIO()
        try:
            torch.save(item, file)
            file.seek(0)
            torch.load(file, weights_only=True)
        except (pickle.PickleError, AttributeError, TypeError, RuntimeError) as error:
            raise TypeError(
                f"{name!r} cannot go into a checkpoint: it holds something other than tensors, "
                f"numbers, strings, None and lists, tuples and dicts of these, so the file could "
                f"not be loaded safely ({str(error).splitlines()[0]}). Convert it first, for "
                f"example a path or a date with str(), a NumPy number with float()"
            ) from None


def save(
    trainer: Any,
    path: str | os.PathLike[str],
    extra: Mapping[str, Any],
    with_optimizer: bool,
    with_scheduler: bool,
    per_node: bool,
) -> None:
    """Write model, optimizer and scheduler to one file; see `Trainer.save_checkpoint`."""
    accelerator, run, optimizer = trainer._accelerator, trainer.run, as_one(trainer.optimizer)
    writes = accelerator.is_local_main_process if per_node else run.processes.is_main
    with run.mode.evaluating(optimizer):
        contents = contents_of(
            trainer.get_model(keep_torch_compile=False),
            optimizer if with_optimizer else None,
            trainer.scheduler if with_scheduler else None,
            extra,
            keeps=writes,
        )
        with run.processes.main_for_all():
            if writes:
                write(contents, path)
    accelerator.wait_for_everyone()


def write(contents: Any, path: str | os.PathLike[str]) -> None:
    """Write a file by `torch.save`; it appears complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            torch.save(contents, file)
            file.flush()
            flush(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load(
    path: str | os.PathLike[str],
    contents: dict[str, Any],
    model: Any,
    optimizer: Any,
    scheduler: Any,
) -> None:
    """Restore what a file holds; if anything does not fit, nothing has changed."""
    of_optimizer = contents.get("optimizer_state_dict")
    of_scheduler = contents.get("scheduler_state_dict")
    if optimizer is None and of_optimizer is not None:
        raise ValueError(
            f"{path} holds an optimizer's state, but the Trainer has no optimizer: pass "
            f"load_optimizer=False"
        )
    put_back = _as_it_is(model, optimizer, scheduler)
    part = "model"
    try:
        Weights(model).load_state_dict(contents["model_state_dict"])
        # A scheduler puts its value in force in what the optimizer then has.
        if of_optimizer is not None:
            part = "optimizer"
            optimizer.load_state_dict(fitted_to_optimizer(of_optimizer, optimizer))
        if of_scheduler is not None:
            part = "scheduler"
            restore(scheduler, of_scheduler)
    except Exception as error:
        put_back()
        without = "" if part == "model" else f", or pass load_{part}=False"
        raise ValueError(
            f"{path} does not fit the Trainer's {part}: {error}. Nothing was "
            f"loaded: make the {part} as it was when the file was saved{without}"
        ) from error


def _as_it_is(model: Any, optimizer: Any, scheduler: Any) -> Callable[[], None]:
    """Note model, optimizer and schedulers; returns what puts them back."""
    weights = Weights(model).copied()
    optimizers = [
        (one, one.state, one.param_groups, [dict(group) for group in one.param_groups])
        for one in each_of(getattr(optimizer, "optimizer", optimizer))
        if hasattr(one, "param_groups")
    ]
    schedulers = [
        (one, copy.deepcopy(one.state_dict()))
        for one in each(scheduler)
        if hasattr(one, "state_dict")
    ]

    def put_back() -> None:
        model.load_state_dict(weights)
        for one, state, groups, _ in optimizers:
            one.state, one.param_groups = state, groups
        for scheduler_, its_state in schedulers:
            scheduler_.load_state_dict(its_state)
        for *_, groups, values in optimizers:
            for group, before in zip(groups, values, strict=True):
                group.update(before)

    return put_back


def check_not_reserved(kwargs: Mapping[str, Any], reserved: set[str]) -> None:
    """Refuse items that would replace the Trainer's own."""
    taken = sorted(reserved & set(kwargs))
    if taken:
        raise ValueError(
            f"checkpoint_kwargs holds {', '.join(taken)}, which the Trainer writes itself: "
            f"choose another name"
        )
