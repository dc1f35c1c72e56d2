"""Writing and reading checkpoints."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import recursively_apply

from pytorch_accelerated import scheduling
from pytorch_accelerated.loop_state import LoopState
from pytorch_accelerated.processes import Processes
from pytorch_accelerated.tracking import LossTracker, RunHistory

_CHECKPOINT_KEYS = {"model_state_dict", "optimizer_state_dict", "scheduler_state_dict"}
_METADATA_FILE = "trainer_metadata.pt"


class Checkpointing(Processes):
    """The part of the Trainer that saves and restores."""

    optimizer: Any
    scheduler: Any
    run_history: RunHistory
    _loop: LoopState
    _loss_tracker: LossTracker
    _norm_tracker: LossTracker
    _can_save_state: bool
    _scheduler_state_to_load: Any

    def save_checkpoint(
        self,
        save_path: str | os.PathLike[str],
        checkpoint_kwargs: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_scheduler: bool = True,
        save_per_node: bool = True,
    ) -> None:
        """Write model, optimizer and scheduler to one file.

        Args:
            save_path: the file; it appears complete or not at all.
            checkpoint_kwargs: more items for the file: tensors and plain Python values.
            save_optimizer: whether to save the optimizer's state.
            save_scheduler: whether to save the scheduler's state, if there is a scheduler.
            save_per_node: whether to write the file on each machine, or on the first only.

        Raises:
            ValueError: an item's name is one of the Trainer's own.
            TypeError: an item could not be loaded again without running code from the file.
        """
        extra = dict(checkpoint_kwargs or {})
        check_not_reserved(extra, _CHECKPOINT_KEYS)
        if save_scheduler and self.scheduler is not None:
            extra["scheduler_state_dict"] = scheduling.state_of(self.scheduler)
        check_loadable(extra)
        contents = {"model_state_dict": self.get_model(keep_torch_compile=False).state_dict()}
        if save_optimizer and self.optimizer is not None:
            contents["optimizer_state_dict"] = self.optimizer.state_dict()
        accelerator = self._accelerator
        if accelerator.is_local_main_process if save_per_node else accelerator.is_main_process:
            save_atomically({**contents, **extra}, save_path)
        accelerator.wait_for_everyone()

    def load_checkpoint(
        self,
        checkpoint_path: str | os.PathLike[str],
        load_optimizer: bool = True,
        load_scheduler: bool = True,
    ) -> dict[str, Any]:
        """Restore model, optimizer and scheduler from a file of `save_checkpoint`.

        Before the first run there is no scheduler: the next run's takes the state up then.

        Args:
            checkpoint_path: the file.
            load_optimizer: whether to restore the optimizer, if the file holds its state.
            load_scheduler: whether to restore the scheduler, if the file holds its state.

        Returns:
            All of the file.

        Raises:
            ValueError: the file holds an optimizer's state, but there is no optimizer.
        """
        checkpoint: dict[str, Any] = torch.load(
            checkpoint_path, map_location="cpu", weights_only=True
        )
        self.get_model(keep_torch_compile=False).load_state_dict(checkpoint["model_state_dict"])
        # A scheduler puts its value in force in what the optimizer then has.
        if load_optimizer and "optimizer_state_dict" in checkpoint:
            if self.optimizer is None:
                raise ValueError(
                    f"{checkpoint_path} holds an optimizer's state, but the Trainer has no "
                    f"optimizer: pass load_optimizer=False"
                )
            self.optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
        if load_scheduler and "scheduler_state_dict" in checkpoint:
            if self.scheduler is not None:
                scheduling.restore(self.scheduler, checkpoint["scheduler_state_dict"])
            else:
                self._scheduler_state_to_load = checkpoint["scheduler_state_dict"]
        return checkpoint

    def save_training_state(
        self, output_dir: str | os.PathLike[str], checkpoint_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Write all that ``train(resume_from=…)`` needs to a folder; call it on every process.

        Args:
            output_dir: the folder.
            checkpoint_kwargs: more items for its metadata: tensors and plain Python values.

        Raises:
            RuntimeError: there was no training run yet.
            ValueError: an item's name is one of the Trainer's own.
            TypeError: an item could not be loaded again without running code from the file.
        """
        if not self._can_save_state:
            raise RuntimeError(
                "there is no training state before a training run: call save_training_state() in "
                "a callback or after train(), or save_checkpoint() for the model as it is"
            )
        extra = dict(checkpoint_kwargs or {})
        own = {
            "current_epoch": self._loop.history_epoch,
            "loop": asdict(self._loop),
            "trackers": self._tracker_totals(),
            "history": self.run_history.state_dict(),
            "callbacks": self.callback_handler.state_dict(),
        }
        check_not_reserved(extra, set(own))
        # Tensors are safe, and a callback's may be as large as the model.
        plain = recursively_apply(lambda tensor: tensor.new_empty(0), own["callbacks"])
        check_loadable(
            {**extra, "the run history": own["history"], "the state of the callbacks": plain}
        )
        self._accelerator.save_state(os.fspath(output_dir))
        if self._accelerator.is_main_process:
            save_atomically({**own, **extra}, Path(output_dir) / _METADATA_FILE)
        self._accelerator.wait_for_everyone()

    def load_training_state(self, input_dir: str | os.PathLike[str]) -> dict[str, Any]:
        """Restore model, optimizer, scheduler and generators from `save_training_state`.

        The position in the run stays: ``train(resume_from=…)`` restores that, too.

        Args:
            input_dir: the folder.

        Returns:
            The metadata; empty if its file is missing.

        Raises:
            RuntimeError: no training run is on, so there is nothing to restore into.
            FileNotFoundError: there is no such folder.
            ValueError: the numbers of schedulers differ.
        """
        if not self._can_save_state:
            raise RuntimeError(
                f"no training run has prepared the model yet, so the state in {input_dir} cannot "
                f"be restored: call train(…, resume_from={os.fspath(input_dir)!r})"
            )
        folder = Path(input_dir)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder} with a training state")
        saved = len(list(folder.glob("custom_checkpoint_*.pkl")))
        present = len(self._accelerator._custom_objects)
        if saved != present:
            raise ValueError(
                f"the training state in {folder} holds {saved} schedulers, but this run has "
                f"{present}: pass the create_scheduler_fn that the state was saved with"
            )
        self._accelerator.load_state(os.fspath(folder))
        metadata_file = folder / _METADATA_FILE
        if not metadata_file.exists():
            return {}
        metadata: dict[str, Any] = torch.load(metadata_file, map_location="cpu", weights_only=True)
        return metadata

    def _tracker_totals(self) -> dict[str, list[float]]:
        """What the epoch at hand has come to: sums over all processes, and over this one."""
        losses = self._loss_tracker.totals(self.device)
        if self._num_processes > 1:
            losses = self._accelerator.reduce(losses, reduction="sum")
        # Every process has the same norms.
        norms = self._norm_tracker.totals(self.device)
        return {"loss": losses.tolist(), "gradient_norm": norms.tolist()}

    def _restore_trackers(self, totals: dict[str, list[float]] | None) -> None:
        self._loss_tracker.reset()
        self._norm_tracker.reset()
        if totals is not None:
            self._norm_tracker.restore(totals["gradient_norm"], self.device)
            if self._accelerator.is_main_process:
                self._loss_tracker.restore(totals["loss"], self.device)


def check_loadable(contents: Mapping[str, Any]) -> None:
    """Refuse what could be saved, but not be read back without running code from the file.

    Args:
        contents: what is to be saved; each item is tried alone.

    Raises:
        TypeError: an item is not made of tensors and plain Python values.
    """
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


def check_not_reserved(kwargs: Mapping[str, Any], reserved: set[str]) -> None:
    """Refuse items that would replace the Trainer's own.

    Args:
        kwargs: the user's items.
        reserved: the Trainer's names.

    Raises:
        ValueError: a name is among both.
    """
    taken = sorted(reserved & set(kwargs))
    if taken:
        raise ValueError(
            f"checkpoint_kwargs holds {', '.join(taken)}, which the Trainer writes itself: "
            f"choose another name"
        )


def save_atomically(contents: Any, path: str | os.PathLike[str]) -> None:
    """Write a file by `torch.save`; it appears complete or not at all.

    Args:
        contents: what to save.
        path: where to; missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(contents, aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
