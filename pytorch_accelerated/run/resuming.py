"""How a run continues from a checkpoint."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_accelerated.checkpoints import resuming, scheduler_states
from pytorch_accelerated.checkpoints.folders import CheckpointError
from pytorch_accelerated.checkpoints.parts import SavedState, read_state
from pytorch_accelerated.run import saving
from pytorch_accelerated.run.loop_state import LoopState, Stage
from pytorch_accelerated.run.plan import Plan, check_not_behind, transferred
from pytorch_accelerated.run.run import Run


def find(
    run: Run, resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> SavedState | None:
    """Read the state that a run is to continue from, if any; all processes find the same."""
    processes = run.processes
    found: list[Any] = [None, None, []]
    error = None
    if processes.is_main:
        try:
            found = [*resuming.find(resume, checkpoint_dir)]
        except (OSError, ValueError, CheckpointError) as failure:
            error = failure
    processes.raise_together(error)
    folder, note, problems = processes.from_main(found)
    if processes.is_main and problems:
        warnings.warn(
            "the newest checkpoint cannot be used: "
            + "; ".join(problems)
            + f". Going on from {folder} instead",
            stacklevel=4,
        )
    if folder is None:
        return None
    if note:
        run.trainer.print(note)
    return read_state(Path(folder))


def read_checked(run: Run, folder: Path) -> SavedState:
    """Read a training state of the user's choice."""
    error: Exception | None = None
    if run.processes.is_main:
        try:
            resuming.check_folder(folder)
        except (OSError, CheckpointError) as failure:
            error = failure
    run.processes.raise_together(error)
    saved = read_state(folder)
    _check_kind(run.trainer.optimizer, saved)
    return saved


def take_position(run: Run, saved: SavedState, now: Plan) -> None:
    """Go to the place in the data, in terms of this run's batches."""
    loop = LoopState(**saved["loop"])
    check_not_behind(loop, now)
    _check_kind(run.trainer.optimizer, saved)
    if saved["plan"] is not None:
        loop = transferred(loop, Plan(**saved["plan"]), now)
    run.loop.load_state_dict(vars(loop))
    run.saved_loop = replace(loop)


def take_up(run: Run, saved: SavedState, remembers_stop: bool) -> None:
    """Restore everything; the generators follow when the first batch is due."""
    assert run.plan is not None
    differences = [] if saved["plan"] is None else run.plan.differences_from(saved["plan"])
    num_groups = len(saved["optimizer"].get("param_groups", ()))
    run.fire("on_resume_start", num_param_groups=num_groups)
    differences += restore_objects(run, saved)
    loop, history = run.loop, run.trainer.run_history
    if saved["history"]:
        history.load_state_dict(saved["history"])
    if loop.is_cut_short and not run.has_reached_limit():
        loop.is_cut_short, loop.stage = False, min(loop.stage, Stage.TRAIN)
    # An epoch that the limit on updates ended early counts, unless it is to be continued.
    history.set_epoch(loop.history_epoch + (loop.is_cut_short and loop.stage is Stage.BEGIN))
    of_process = _of_this_process(run, saved)
    callbacks = {**saved["callbacks"], **of_process.pop("callbacks")}
    without = [name for name, state in callbacks.items() if state is None]
    run.trainer.callback_handler.load_state_dict(
        {name: state for name, state in callbacks.items() if name not in without}
    )
    parts = saving.parts_of_process(run)
    for name, state in of_process.items():
        parts[name].load_state_dict(state)
    if remembers_stop:
        run.stopped = saved["stopped"]
    _warn_of(run, differences, saved)


def _of_this_process(run: Run, saved: SavedState) -> dict[str, Any]:
    """What a checkpoint holds for this process, also if it is of more or fewer of them."""
    processes, index = saved["processes"], run.accelerator.process_index
    if len(processes) == run.processes.count:
        return dict(processes[index])
    own = dict(processes[index]) if index < len(processes) else {"callbacks": {}}
    # Each had a sum of its own, of which no process has the right one now.
    own["callbacks"] = dict.fromkeys(own["callbacks"])
    own["losses"] = [0.0, 0.0]
    if run.processes.is_main:
        losses = [one["losses"] for one in processes]
        own["losses"] = [sum(numbers) for numbers in zip(*losses, strict=True)]
    own["gradient_norms"] = processes[0]["gradient_norms"]
    return own


def load(run: Run, folder: Path) -> SavedState:
    """Restore model, optimizer, schedulers and generators; the run stays where it is."""
    saved = read_checked(run, folder)
    run.schedulers.is_new = False
    _warn_of(run, restore_objects(run, saved), saved)
    of_process = _of_this_process(run, saved)
    if "random" in of_process:
        run.random.load_state_dict(of_process["random"])
        run.random.put_back()
    return saved


def restore_objects(run: Run, saved: SavedState) -> list[str]:
    """Restore model, optimizer, scaler and schedulers; returns what differs."""
    trainer, schedulers, loop = run.trainer, run.schedulers, LoopState(**saved["loop"])
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    trainer.get_model(keep_torch_compile=False).load_state_dict(saved["model"])
    differences: list[str] = []

    def load_optimizer() -> None:
        is_scheduled = trainer.scheduler is not None or bool(saved["schedulers"])
        _check_groups(optimizer, saved)
        differences.extend(
            scheduler_states.differing_bases(optimizer, saved["optimizer"], is_scheduled)
        )
        optimizer.load_state_dict(saved["optimizer"])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        differences += schedulers.look(trainer.scheduler).load_with_optimizer(
            saved["schedulers"], loop.num_updates, loop.epoch, optimizer, load_optimizer
        )
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            differences.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    scaler = run.accelerator.scaler
    if scaler is not None and saved["scaler"]:
        scaler.load_state_dict(saved["scaler"])
    return differences


def _warn_of(run: Run, differences: list[str], saved: SavedState) -> None:
    if differences and run.processes.is_main:
        warnings.warn(
            f"this run differs from the one that {saved.folder} is from; its position is "
            f"kept:\n" + "\n".join(differences),
            stacklevel=4,
        )


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
