"""The part of the Trainer that saves and restores."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from torch.nn.parameter import is_lazy

from pytorch_accelerated import scheduling
from pytorch_accelerated.checkpoints import (
    random_state,
    resuming,
    scheduler_states,
    single_file,
)
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    from_json,
    recover_all,
    to_json,
    write_folder,
)
from pytorch_accelerated.checkpoints.plan import Plan, check_not_behind, transferred
from pytorch_accelerated.checkpoints.preemption import Preempted, Questions
from pytorch_accelerated.checkpoints.run import RunCheckpoints
from pytorch_accelerated.checkpoints.tensor_files import pieces, read
from pytorch_accelerated.checkpoints.trees import join, split
from pytorch_accelerated.loop_state import LoopState
from pytorch_accelerated.processes import Processes
from pytorch_accelerated.tracking import LossTracker, RunHistory

_CHECKPOINT_KEYS = {"model_state_dict", "optimizer_state_dict", "scheduler_state_dict"}
_METADATA_KEYS = {"current_epoch", "loop", "history", "callbacks"}

_STATE_FILE = "state.json"
_PARTS = ("model", "optimizer", "state")

# The weights are in one piece in each process, so that one of them can save them all.
_WHOLE = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_NPU,
    DistributedType.MULTI_XPU,
    DistributedType.MULTI_MLU,
    DistributedType.MULTI_HPU,
}


@dataclass
class SavedState:
    """What a training state holds, as it was read.

    Attributes:
        folder: Where it was read from.
        contents: All of it.
    """

    folder: Path
    contents: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        try:
            return self.contents[name]
        except KeyError:
            raise CheckpointError(
                f"{self.folder / _STATE_FILE} is damaged: it has no {name!r}"
            ) from None


class Checkpointing(Processes):
    """The part of the Trainer that saves and restores."""

    optimizer: Any
    scheduler: Any = scheduler_states.RunScheduler()
    run_history: RunHistory
    _loop: LoopState
    _plan: Plan | None
    _loss_tracker: LossTracker
    _norm_tracker: LossTracker
    _can_save_state: bool
    _scheduler_state_to_load: Any
    _states_at_start: Sequence[Any] = ()
    _is_scheduler_over: bool = False
    _checkpoints: RunCheckpoints | None
    _questions: Questions
    _saved_loop: LoopState | None
    _own_generators: list[torch.Generator]
    _random_at_epoch_start: dict[str, Any]
    _random_before_eval: dict[str, Any]
    _random_to_restore: dict[str, Any] | None
    _is_between_updates: bool
    _states_asked_for: list[tuple[Path, dict[str, Any]]]
    _stopped: str | None
    _has_reached_limit: Callable[[], bool]
    scheduler_step: Callable[[], None]

    # Single files

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
            save_path: The file; it appears complete or not at all.
            checkpoint_kwargs: More items for the file: tensors and plain Python values.
            save_optimizer: Whether to save the optimizer's state.
            save_scheduler: Whether to save the scheduler's state, if there is a scheduler.
            save_per_node: Whether to write the file on each machine, or on the first only.

        Raises:
            ValueError: An item's name is one of the Trainer's own.
            TypeError: An item could not be loaded again without running code from the file.
        """
        extra = dict(checkpoint_kwargs or {})
        _check_not_reserved(extra, _CHECKPOINT_KEYS)
        if save_scheduler and self.scheduler is not None:
            extra["scheduler_state_dict"] = scheduler_states.state_of(self.scheduler)
        single_file.check_loadable(extra)
        contents = {"model_state_dict": self.get_model(keep_torch_compile=False).state_dict()}
        if save_optimizer and self.optimizer is not None:
            contents["optimizer_state_dict"] = self._optimizer_state()
        accelerator = self._accelerator
        if accelerator.is_local_main_process if save_per_node else accelerator.is_main_process:
            single_file.write({**contents, **extra}, save_path)
        accelerator.wait_for_everyone()

    def load_checkpoint(
        self,
        checkpoint_path: str | os.PathLike[str],
        load_optimizer: bool = True,
        load_scheduler: bool = True,
    ) -> dict[str, Any]:
        """Restore model, optimizer and scheduler from a file of `save_checkpoint`.

        Before the first run there is no scheduler: the next run's takes the state up then. If
        anything does not fit, nothing has changed.

        Args:
            checkpoint_path: The file.
            load_optimizer: Whether to restore the optimizer, if the file holds its state.
            load_scheduler: Whether to restore the scheduler, if the file holds its state.

        Returns:
            All of the file.

        Raises:
            OSError: There is no such file, or it cannot be read.
            CheckpointError: It is damaged, or no file of `save_checkpoint`.
            ValueError: A state does not fit the model, the optimizer or the scheduler that is
                there, or there is no optimizer.
        """
        checkpoint = single_file.read(Path(checkpoint_path))
        optimizer = checkpoint.get("optimizer_state_dict") if load_optimizer else None
        scheduler = checkpoint.get("scheduler_state_dict") if load_scheduler else None
        if optimizer is not None and self.optimizer is None:
            raise ValueError(
                f"{checkpoint_path} holds an optimizer's state, but the Trainer has no "
                f"optimizer: pass load_optimizer=False"
            )
        part = "model"
        put_back = self._as_it_is()
        try:
            self.get_model(keep_torch_compile=False).load_state_dict(checkpoint["model_state_dict"])
            # A scheduler puts its value in force in what the optimizer then has.
            if optimizer is not None:
                part = "optimizer"
                self.optimizer.load_state_dict(optimizer)
            if scheduler is not None and self.scheduler is not None:
                part = "scheduler"
                scheduler_states.restore(self.scheduler, scheduler)
        except Exception as error:
            put_back()
            without = "" if part == "model" else f", or pass load_{part}=False"
            raise ValueError(
                f"{checkpoint_path} does not fit the Trainer's {part}: {error}. Nothing was "
                f"loaded: make the {part} as it was when the file was saved{without}"
            ) from error
        if scheduler is not None and (self.scheduler is None or self._is_scheduler_over):
            self._scheduler_state_to_load = scheduler
        return checkpoint

    def _as_it_is(self) -> Callable[[], None]:
        """Note model, optimizer and schedulers; returns what puts them back."""
        model = self.get_model(keep_torch_compile=False)
        weights = {name: _copy_of(value) for name, value in model.state_dict().items()}
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        groups = getattr(optimizer, "param_groups", [])
        values = [dict(group) for group in groups]
        state = getattr(optimizer, "state", None)
        schedulers = [
            (one, copy.deepcopy(one.state_dict()))
            for one in scheduling.each(self.scheduler)
            if hasattr(one, "state_dict")
        ]

        def put_back() -> None:
            model.load_state_dict(weights)
            if optimizer is not None:
                optimizer.state, optimizer.param_groups = state, groups
            for one, its_state in schedulers:
                one.load_state_dict(its_state)
            for group, before in zip(groups, values, strict=True):
                group.update(before)

        return put_back

    # Training states

    def save_training_state(
        self, output_dir: str | os.PathLike[str], checkpoint_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Write all that a run needs to go on to a folder; call it on every process.

        The folder appears complete or not at all, and replaces a training state of that name. If
        an update is under way, it is written when that is done, after ``on_update_end``.

        Args:
            output_dir: The folder.
            checkpoint_kwargs: More items for its metadata: tensors and plain Python values.

        Raises:
            RuntimeError: There was no training run yet.
            ValueError: An item's name is one of the Trainer's own.
            TypeError: An item could not be loaded again without running code from the file.
            OSError: The folder could not be written.
        """
        if not self._can_save_state:
            raise RuntimeError(
                "there is no training state before a training run: call save_training_state() in "
                "a callback or after train(), or save_checkpoint() for the model as it is"
            )
        extra = dict(checkpoint_kwargs or {})
        _check_not_reserved(extra, _METADATA_KEYS)
        self._states_asked_for.append((Path(output_dir), extra))
        if self._is_between_updates:
            self._save_states_asked_for()

    def _save_states_asked_for(self) -> None:
        states, self._states_asked_for = self._states_asked_for, []
        for folder, extra in states:
            files = self._files_of_state(extra)
            error = None
            if self._accelerator.is_main_process:
                try:
                    write_folder(folder, files, self._position())
                except OSError as failure:
                    error = failure
            self._raise_together(error)

    def load_training_state(self, input_dir: str | os.PathLike[str]) -> dict[str, Any]:
        """Restore model, optimizer, schedulers and generators from `save_training_state`.

        The position in the run, the run history and the callbacks stay as they are:
        ``train(resume=…)`` restores them, too.

        Args:
            input_dir: The folder.

        Returns:
            The metadata: what was given to `save_training_state`, and ``current_epoch``.

        Raises:
            RuntimeError: No training run is on, so there is nothing to restore into.
            FileNotFoundError: There is no such folder.
            CheckpointError: It is incomplete or damaged.
            ValueError: It holds the state of another kind of optimizer.
        """
        if not self._can_save_state:
            raise RuntimeError(
                f"no training run has prepared the model yet, so the state in {input_dir} cannot "
                f"be restored: call train(…, resume_from={os.fspath(input_dir)!r})"
            )
        saved = self._read_state(self._checked_folder(Path(input_dir)))
        _check_kind(self.optimizer, saved)
        self._warn_of(self._restore_objects(saved, is_new=False), saved)
        self._restore_generators(saved)
        if self._random_to_restore is not None:
            self._put_random_state(self._random_to_restore)
            self._random_to_restore = None
        return self._metadata(saved)

    def _metadata(self, saved: SavedState) -> dict[str, Any]:
        loop = LoopState(**saved["loop"])
        own = {"loop": saved["loop"], "history": saved["history"], "callbacks": saved["callbacks"]}
        return {"current_epoch": loop.history_epoch, **own, **saved["extra"]}

    # What a state is made of

    def _files_of_state(self, extra: dict[str, Any] | None = None) -> dict[str, list[Any]]:
        """The files of a training state, copied to host memory; empty on all processes but one."""
        kind = self._accelerator.distributed_type
        if kind not in _WHOLE:
            raise ValueError(
                f"training states of models that are split among processes ({kind}) cannot be "
                f"saved: train with distributed data parallel, or save the weights with "
                f"accelerate's own means"
            )
        is_main = self._accelerator.is_main_process
        # An evaluation that is under way will be made again, and be the same.
        loop = self._loop
        is_evaluating = loop.is_trained and not loop.is_evaluated and bool(self._random_before_eval)
        own: dict[str, Any] = {
            "random": self._random_before_eval if is_evaluating else self._random_state(),
            "random_at_epoch_start": self._random_at_epoch_start,
            "losses": self._loss_tracker.totals(self.device).tolist(),
            "gradient_norms": self._norm_tracker.totals(self.device).tolist(),
            "callbacks": self.callback_handler.state_dict(of_each_process=True),
        }
        processes = gather_object([own]) if self._num_processes > 1 else [own]
        files: dict[str, list[Any]] = {}
        error = None
        if is_main:
            try:
                files = self._files(processes, extra or {})
            except TypeError as failure:
                error = failure
        self._raise_together(error)
        return files

    def _files(self, processes: list[Any], extra: dict[str, Any]) -> dict[str, list[Any]]:
        scaler = self._accelerator.scaler
        state = {
            "loop": asdict(self._loop),
            "plan": None if self._plan is None else asdict(self._plan),
            "stopped": self._stopped,
            "schedulers": scheduler_states.saved_states(self.scheduler, self._states_at_start),
            "scaler": None if scaler is None else scaler.state_dict(),
            "processes": processes,
            "history": self.run_history.state_dict(),
            "callbacks": self.callback_handler.state_dict(),
            "extra": extra,
        }
        trees = {
            "model": (self.get_model(keep_torch_compile=False).state_dict(), "the model's state"),
            "optimizer": (self._optimizer_state(), "the optimizer's state"),
            "state": (state, "the state of the run"),
        }
        skeletons: dict[str, Any] = {}
        files: dict[str, list[Any]] = {}
        for name, (tree, where) in trees.items():
            skeletons[name], tensors = split(tree, where)
            files[f"{name}.safetensors"] = pieces(tensors)
        return {**files, _STATE_FILE: [to_json(skeletons)]}

    def _optimizer_state(self) -> Any:
        if not hasattr(self.optimizer, "state_dict"):
            raise TypeError(
                f"the optimizer is a {type(self.optimizer).__name__} without a state_dict(), so "
                f"its state cannot be saved: give the Trainer one object with state_dict() and "
                f"load_state_dict(), or call save_checkpoint(…, save_optimizer=False)"
            )
        return self.optimizer.state_dict()

    def _position(self) -> dict[str, int]:
        loop = self._loop
        return {
            "num_updates": loop.num_updates,
            "epoch": loop.epoch,
            "batch": loop.batch,
            "in_epoch": int(loop.in_epoch),
        }

    def _read_state(self, folder: Path) -> SavedState:
        """Read a training state whose files were verified."""
        path = folder / _STATE_FILE
        try:
            skeletons = from_json(path.read_bytes(), str(path))
            trees = {
                name: join(skeletons[name], read(folder / f"{name}.safetensors"), str(path))
                for name in _PARTS
            }
            return SavedState(
                folder,
                {"model": trees["model"], "optimizer": trees["optimizer"], **trees["state"]},
            )
        except (OSError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged: {error!r}") from None

    def _restore_objects(self, saved: SavedState, is_new: bool = True) -> list[str]:
        """Restore model, optimizer, scaler and schedulers; returns what differs.

        Args:
            saved: The state.
            is_new: Whether the schedulers are as they were made.
        """
        position = self._position_for_schedulers(LoopState(**saved["loop"]), is_new)
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        self.get_model(keep_torch_compile=False).load_state_dict(saved["model"])
        differences: list[str] = []

        def load_optimizer() -> None:
            is_scheduled = self.scheduler is not None or bool(saved["schedulers"])
            _check_groups(optimizer, saved)
            differences.extend(
                scheduler_states.differing_bases(optimizer, saved["optimizer"], is_scheduled)
            )
            optimizer.load_state_dict(saved["optimizer"])

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            differences += scheduler_states.go_on(
                self.scheduler,
                self._states_at_start,
                saved["schedulers"],
                position,
                optimizer,
                load_optimizer,
            )
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                differences.append(str(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        scaler = self._accelerator.scaler
        if scaler is not None and saved["scaler"]:
            scaler.load_state_dict(saved["scaler"])
        return differences

    def _position_for_schedulers(self, loop: LoopState, is_new: bool) -> scheduler_states.Position:
        module = getattr(type(self).scheduler_step, "__module__", "")
        is_ours = module.startswith(f"{__package__}.")
        return scheduler_states.Position(
            loop.num_updates, is_new=is_new, is_stepped_by_updates=is_ours
        )

    def _restore_generators(self, saved: SavedState) -> dict[str, Any] | None:
        """Have the generators of this process restored when the run goes on.

        Returns:
            What the process of this index has saved; ``None`` if there was none.
        """
        processes = saved["processes"]
        index = self._accelerator.process_index
        if index >= len(processes):
            return None
        own: dict[str, Any] = processes[index]
        self._random_at_epoch_start = own["random_at_epoch_start"]
        self._random_to_restore = own["random"]
        return own

    # Going on

    def _find_state(
        self,
        resume: str | os.PathLike[str] | None,
        checkpoint_dir: Path | None,
    ) -> SavedState | None:
        """Read the state that a run is to go on from, if any; all processes find the same."""
        found: list[Any] = [None, None, []]
        error = None
        if self._accelerator.is_main_process:
            try:
                found = [*resuming.find(resume, checkpoint_dir)]
            except (OSError, ValueError, CheckpointError) as failure:
                error = failure
        self._raise_together(error)
        if self._num_processes > 1:
            broadcast_object_list(found)
        folder, note, problems = found
        if self._accelerator.is_main_process and problems:
            warnings.warn(
                "the newest checkpoint cannot be used: "
                + "; ".join(problems)
                + f". Going on from {folder} instead",
                stacklevel=4,
            )
        if folder is None:
            return None
        if note:
            self.print(note)
        return self._read_state(Path(folder))

    def _checked_folder(self, folder: Path) -> Path:
        error: Exception | None = None
        if self._accelerator.is_main_process:
            try:
                resuming.check_folder(folder)
            except (OSError, CheckpointError) as failure:
                error = failure
        self._raise_together(error)
        return folder

    def _take_position(self, saved: SavedState, now: Plan) -> None:
        """Go to the place in the data, in terms of this run's batches."""
        loop = LoopState(**saved["loop"])
        check_not_behind(loop, now)
        _check_kind(self.optimizer, saved)
        if saved["plan"] is not None:
            loop = transferred(loop, Plan(**saved["plan"]), now)
        self._loop = loop
        self._saved_loop = replace(loop)

    def _go_on(self, saved: SavedState, now: Plan) -> None:
        """Restore everything; the generators follow when the first batch is due."""
        differences = [] if saved["plan"] is None else now.differences_from(saved["plan"])
        num_groups = len(saved["optimizer"].get("param_groups", ()))
        self._fire("on_resume_start", num_param_groups=num_groups)
        differences += self._restore_objects(saved)
        if saved["history"]:
            self.run_history.load_state_dict(saved["history"])
        loop = self._loop
        if loop.is_cut_short and not self._has_reached_limit():
            loop.go_on_with_epoch()
        # An epoch that the limit on updates ended early counts, unless it is to go on.
        counts = loop.is_cut_short and not loop.in_epoch
        self.run_history.set_epoch(loop.history_epoch + counts)
        own = self._restore_generators(saved)
        callbacks = dict(saved["callbacks"])
        self._loss_tracker.reset()
        self._norm_tracker.reset()
        processes = saved["processes"]
        if own is not None and len(processes) == self._num_processes:
            self._loss_tracker.restore(own["losses"], self.device)
            self._norm_tracker.restore(own["gradient_norms"], self.device)
            callbacks.update(own["callbacks"])
        else:
            if self._accelerator.is_main_process:
                totals = torch.tensor([one["losses"] for one in processes], dtype=torch.float64)
                self._loss_tracker.restore(totals.sum(0).tolist(), self.device)
            self._norm_tracker.restore(processes[0]["gradient_norms"], self.device)
            for name in own["callbacks"] if own else ():
                callbacks.pop(name, None)
        self.callback_handler.load_state_dict(callbacks)
        self._warn_of(differences, saved)

    def _warn_of(self, differences: list[str], saved: SavedState) -> None:
        if differences and self._accelerator.is_main_process:
            warnings.warn(
                f"this run differs from the one that {saved.folder} is from; its position is "
                f"kept:\n" + "\n".join(differences),
                stacklevel=4,
            )

    # Random numbers

    def _random_state(self) -> dict[str, Any]:
        """States of all generators that training draws from, also of the loader's own."""
        own = [generator.get_state() for generator in self._own_generators]
        return {**random_state.get(self.device), "own": own}

    def _put_random_state(self, state: dict[str, Any]) -> None:
        random_state.put(state, self.device)
        for generator, its_state in zip(self._own_generators, state["own"], strict=False):
            generator.set_state(its_state)

    def _restore_random_if_due(self, in_epoch: bool) -> None:
        """Put the generators where they were, at the place in the run where that was."""
        if self._random_to_restore is not None and in_epoch == (self._loop.batch > 0):
            self._put_random_state(self._random_to_restore)
            self._random_to_restore = None

    # While a run is on

    @contextmanager
    def _checkpoints_of_run(
        self, folder: Path | None, every: int | None, keep_last: int | None
    ) -> Iterator[None]:
        """Write checkpoints during the run, if there is a folder for them."""
        self._checkpoints = None
        self._saved_loop = None
        self._stopped = None
        self._is_between_updates = True
        self._states_asked_for = []
        self._random_before_eval = {}
        self._random_to_restore = None
        try:
            with self._writing_to(folder, every, keep_last):
                yield
        finally:
            # What is loaded from now on is for the next run's.
            self._is_scheduler_over = True

    @contextmanager
    def _writing_to(
        self, folder: Path | None, every: int | None, keep_last: int | None
    ) -> Iterator[None]:
        if folder is None:
            yield
            return
        error = None
        if self._accelerator.is_main_process:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                recover_all(folder)
            except OSError as failure:
                error = failure
        self._raise_together(error)
        self._questions = Questions()
        self._checkpoints = RunCheckpoints(folder, every, keep_last)
        try:
            with self._checkpoints.open():
                yield
            self._accelerator.wait_for_everyone()
        finally:
            self._checkpoints = None

    def _after_update(self, was_made: bool) -> None:
        """Save if it is time to, or if the process is about to be ended."""
        checkpoints = self._checkpoints
        if checkpoints is None:
            return
        checkpoints.writer.check()
        every, num_updates = checkpoints.every, self._loop.num_updates
        is_due = was_made and every is not None and num_updates % every == 0
        self._save_and_leave_if_told(checkpoints, is_due)

    def _after_epoch(self) -> None:
        checkpoints = self._checkpoints
        if checkpoints is not None:
            checkpoints.writer.check()
            self._questions.ask_now()
            self._save_and_leave_if_told(checkpoints, is_due=checkpoints.every is None)

    def _save_and_leave_if_told(self, checkpoints: RunCheckpoints, is_due: bool) -> None:
        is_told = self._is_told_to_leave(checkpoints)
        if is_due or is_told:
            self._save_run_checkpoint(checkpoints)
        if is_told:
            checkpoints.writer.wait()
            # A process that leaves may have the launcher end the others.
            self._accelerator.wait_for_everyone()
            self.print(
                f"SIGTERM: a checkpoint of update {self._loop.num_updates} is in "
                f"{checkpoints.folder}"
            )
            raise Preempted

    def _is_told_to_leave(self, checkpoints: RunCheckpoints) -> bool:
        """Whether any process has had SIGTERM; all of them find the same."""
        if self._num_processes == 1:
            return checkpoints.notice.has_come
        questions = self._questions
        if not questions.is_due():
            return False
        answers = torch.tensor(
            [float(checkpoints.notice.has_come), questions.seconds_since()],
            dtype=torch.float32,
            device=self.device,
        )
        num_told, seconds = self._accelerator.reduce(answers, reduction="sum").tolist()
        questions.asked(seconds / self._num_processes)
        return bool(num_told)

    def _save_at_end(self, stopped: str | None = None) -> None:
        """Save what a run has come to, unless it went on from there and did nothing."""
        checkpoints = self._checkpoints
        # A stop is remembered even where it came before the run had done anything more.
        if checkpoints is None or (self._loop == self._saved_loop and stopped is None):
            return
        self._stopped = stopped
        self._loop.in_epoch = False
        self._save_run_checkpoint(checkpoints)

    def _save_run_checkpoint(self, checkpoints: RunCheckpoints) -> None:
        if not self._weights_are_finite():
            warnings.warn(
                f"no checkpoint is saved at update {self._loop.num_updates}: the weights hold a "
                f"NaN or infinity",
                stacklevel=4,
            )
            return
        files = self._files_of_state()
        if self._accelerator.is_main_process:
            checkpoints.write(files, self._position())
        self._saved_loop = replace(self._loop)

    def _raise_together(self, error: Exception | None) -> None:
        """Raise what went wrong in the main process, in all of them."""
        if self._num_processes > 1:
            messages = [None if error is None else f"{type(error).__name__}: {error}"]
            broadcast_object_list(messages)
            if error is None and messages[0] is not None:
                raise RuntimeError(f"in the main process: {messages[0]}")
        if error is not None:
            raise error


def _check_kind(optimizer: Any, saved: SavedState) -> None:
    """Refuse the state of another kind of optimizer; that of a base class may fit."""
    if saved["plan"] is None:
        return
    optimizer = getattr(optimizer, "optimizer", optimizer)
    before = saved["plan"]["optimizer"]
    # The module may be another, such as that of a script which is imported now.
    if before.rpartition(".")[2] not in {kind.__name__ for kind in type(optimizer).__mro__}:
        raise ValueError(
            f"the optimizer is a {scheduler_states.class_name(optimizer)}, but the checkpoint "
            f"{saved.folder} holds the state of a {before}: give the Trainer such an optimizer "
            f"again; or, to go on from the weights alone, load its model.safetensors into the "
            f"model with safetensors.torch.load_file, and begin a new run in another folder"
        )


def _check_groups(optimizer: Any, saved: SavedState) -> None:
    """Refuse an optimizer with another number of parameter groups, and say what to do."""
    there, held = len(optimizer.param_groups), len(saved["optimizer"].get("param_groups", ()))
    if there != held:
        raise ValueError(
            f"the optimizer has {there} parameter groups, but in the checkpoint {saved.folder} it "
            f"has {held}: make it with the same groups, or add those that were added on the way "
            f"in a callback's on_resume_start"
        )


def _copy_of(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not is_lazy(value):
        return value.to("cpu", copy=True)
    return copy.deepcopy(value)


def _check_not_reserved(kwargs: Mapping[str, Any], reserved: set[str]) -> None:
    """Refuse items that would replace the Trainer's own.

    Args:
        kwargs: The user's items.
        reserved: The Trainer's names.

    Raises:
        ValueError: A name is among both.
    """
    taken = sorted(reserved & set(kwargs))
    if taken:
        raise ValueError(
            f"checkpoint_kwargs holds {', '.join(taken)}, which the Trainer writes itself: "
            f"choose another name"
        )
