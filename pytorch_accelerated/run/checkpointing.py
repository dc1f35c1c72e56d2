"""The checkpoints of a run: what they hold, when they are written, how a run continues."""

from __future__ import annotations

import math
import os
import secrets
import time
import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import torch

from pytorch_accelerated.checkpoints import folders
from pytorch_accelerated.checkpoints.contents import Weights, read_state, read_whole
from pytorch_accelerated.checkpoints.folders import CheckpointError, checkpoints_in
from pytorch_accelerated.checkpoints.shards import Share
from pytorch_accelerated.checkpoints.writer import Preempted, Questions, RunCheckpoints
from pytorch_accelerated.run import parts
from pytorch_accelerated.run.loop_state import (
    LoopState,
    Plan,
    Stage,
    check_not_behind,
    transferred,
)
from pytorch_accelerated.run.processes import STOP_CHECK_INTERVAL, warn
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.run.schedulers import class_name
from pytorch_accelerated.run.single_file import check_not_reserved
from pytorch_accelerated.schedulers.optimizers import Optimizers, each_of, groups_in

# What the user asks for


def ask_for(run: Run, folder: Path, extra: dict[str, Any]) -> None:
    """Save to a folder; if an update is under way, when that is done."""
    if run.plan is None:
        raise RuntimeError(
            "there is no training state before a training run: call save_training_state() in "
            "a callback or after train(), or save_checkpoint() for the model as it is"
        )
    check_not_reserved(extra, {"current_epoch", "loop", "history", "callbacks"})
    run.asked_for.append((folder, extra))
    if not run.window.is_open:
        save_what_was_asked_for(run)


def save_what_was_asked_for(run: Run) -> None:
    """Save to all folders that were asked for since the last update."""
    if not run.asked_for:
        return
    states, run.asked_for = run.asked_for, []
    for folder, extra in states:
        files, share = parts.files_of_run(run, extra), _share(run, folder)
        if share is not None and not run.processes.is_main:
            share.write(folders.aside_of(folder), files)
        with run.processes.main_for_all() as is_main:
            if is_main:
                others = None if share is None else share.collect
                folders.write_folder(folder, files, run.loop.position(), others=others)


def _share(run: Run, folder: Path, replaces_any: bool = False) -> Share | None:
    """Begin a checkpoint that all processes write; ``None`` if the first one writes it alone."""
    if not (run.is_sharded and run.writes_shards):
        return None
    processes = run.processes
    with processes.main_for_all() as is_main:
        if is_main:
            folders.begin(folder, replaces_any)
    (token,) = processes.from_main([secrets.token_hex(4)])
    return Share(run.accelerator.process_index, processes.count, token)


# What the run saves by itself


@contextmanager
def to(run: Run, folder: Path | None, every: int | None, keep_last: int | None) -> Iterator[None]:
    """Write checkpoints while the run is on."""
    if folder is None:
        yield
        return
    with run.processes.main_for_all() as is_main:
        if is_main:
            folder.mkdir(parents=True, exist_ok=True)
            folders.recover_all(folder)
    run.checkpoints = RunCheckpoints(folder, every, keep_last, Questions(STOP_CHECK_INTERVAL))
    try:
        with run.checkpoints.open():
            yield
            with run.processes.main_for_all():
                run.checkpoints.writer.wait()
    except KeyboardInterrupt:
        there = f"there is no checkpoint in {folder} yet"
        for newest in checkpoints_in(folder)[-1:]:
            there = f"{newest} is there: continue from it with resume='auto'"
        run.trainer.print(f"interrupted after {run.loop.num_updates} updates; {there}")
        raise
    finally:
        run.checkpoints = None


def after_update(run: Run, was_made: bool) -> None:
    """Save if it is time to, or if the process is about to be ended."""
    checkpoints = run.checkpoints
    if checkpoints is not None:
        every = checkpoints.every
        is_due = was_made and every is not None and run.loop.num_updates % every == 0
        _save_and_leave_if_told(run, checkpoints, is_due)


def after_epoch(run: Run) -> None:
    """Save if the epochs' ends are the time to, or if the process is about to be ended."""
    checkpoints = run.checkpoints
    if checkpoints is not None:
        checkpoints.questions.left = 1  # all processes are here
        _save_and_leave_if_told(run, checkpoints, is_due=checkpoints.every is None)


def at_end(run: Run, stopped: str | None = None) -> None:
    """Save what a run has come to, unless it continued from there and did nothing."""
    if run.window.is_open:
        if run.checkpoints is not None or run.asked_for:
            warn(
                "the run was stopped within an update, by a method of the Trainer, so it has no "
                "checkpoint of its end. Raise StopTrainingError in a callback instead, which has "
                "the update finished"
            )
        return
    if stopped is not None:
        save_what_was_asked_for(run)
    checkpoints, loop = run.checkpoints, run.loop
    # A stop is remembered even where it came before the run had done anything more.
    if checkpoints is None or (loop == run.saved_loop and stopped is None):
        return
    run.stopped = stopped
    if loop.stage is Stage.TRAIN:
        loop.stage = Stage.BEGIN
    _save(run, checkpoints, is_end=True)


def _save_and_leave_if_told(run: Run, checkpoints: RunCheckpoints, is_due: bool) -> None:
    if run.processes.count == 1:  # several learn together, at the next checkpoint or the end
        checkpoints.writer.check()
    is_told = _is_told_to_leave(run, checkpoints)
    if is_due or is_told:
        _save(run, checkpoints)
    if is_told:
        with run.processes.main_for_all():
            checkpoints.writer.wait()
        # A process that leaves may have the launcher end the others.
        run.accelerator.wait_for_everyone()
        run.trainer.print(
            f"SIGTERM: a checkpoint of update {run.loop.num_updates} is in {checkpoints.folder}"
        )
        raise Preempted


def _is_told_to_leave(run: Run, checkpoints: RunCheckpoints) -> bool:
    """Return whether any process has had SIGTERM; all of them find the same."""
    processes, questions = run.processes, checkpoints.questions
    if processes.count == 1:
        return checkpoints.is_told_to_leave
    if not questions.is_due():
        return False
    answers = torch.tensor(
        [float(checkpoints.is_told_to_leave), time.perf_counter() - questions.asked_at],
        dtype=torch.float32,
        device=processes.device,
    )
    num_told, seconds = processes.sum(answers).tolist()
    questions.asked(seconds / processes.count)
    return bool(num_told)


def _save(run: Run, checkpoints: RunCheckpoints, is_end: bool = False) -> None:
    if not run.weights_are_finite():
        warn(
            f"no checkpoint is saved at update {run.loop.num_updates}: the weights hold a "
            f"NaN or infinity",
        )
        return
    files = parts.files_of_run(run, checkpoints=checkpoints)
    position = run.loop.position()
    position["in_epoch"] *= not is_end
    share = _share(run, checkpoints.target(position), replaces_any=True)
    with run.processes.main_for_all() as is_main:
        if is_main or share is not None:
            checkpoints.write(files, position, share)
    run.saved_loop = replace(run.loop)


# How a run continues


def find(
    run: Run, resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> dict[str, Any] | None:
    """Read the state that a run is to continue from, if any; all processes find the same."""
    processes = run.processes
    found: list[Any] = [None, []]
    with processes.main_for_all() as is_main:
        if is_main:
            found = [*folders.find(resume, checkpoint_dir)]
    folder, problems = processes.from_main(found)
    if processes.is_main and problems:
        warn(
            f"the newest checkpoint cannot be used: {'; '.join(problems)}. Continuing from "
            f"{folder} instead"
        )
    return None if folder is None else _checked(read_state(Path(folder)))


def take_position(run: Run, saved: dict[str, Any], now: Plan) -> None:
    """Go to the place in the data, in terms of this run's batches."""
    run.trainer.print(f"continuing from {saved['folder']}")
    loop = LoopState(**saved["loop"])
    check_not_behind(loop, now)
    _check_fits(run, saved)
    loop = transferred(loop, Plan(**saved["plan"]), now)
    saved["loop"] = vars(loop)
    run.loop.load_state_dict(saved["loop"])
    run.saved_loop = loop


def load(run: Run, folder: Path) -> dict[str, Any]:
    """Restore model, optimizer, schedulers and generators; the run stays where it is."""
    if run.plan is None:
        raise RuntimeError(
            f"no training run has prepared the model yet, so the state in {folder} cannot "
            f"be restored: call train(…, resume_from={os.fspath(folder)!r})"
        )
    saved = find(run, folder, None)
    assert saved is not None
    _check_fits(run, saved)
    at_epoch_start = run.random.at_epoch_start
    restore(
        run, saved, only={"model", "optimizer", "trained_weights", "schedulers", "scaler", "random"}
    )
    run.random.put_back()
    run.random.at_epoch_start = at_epoch_start  # the pass at hand began as it did
    told = {name: read_whole(saved[name]) for name in ("loop", "history", "callbacks")}
    epoch = LoopState(**saved["loop"]).history_epoch
    return {"current_epoch": epoch, **told, **saved["extra"]}


def restore(run: Run, saved: dict[str, Any], only: Container[str] | None = None) -> None:
    """Have parts take up their states; what differs is said in one warning.

    The generators follow when the first batch is due.
    """
    folder = saved["folder"]
    optimizer = run.optimizer
    there, held = (
        [len(group["params"]) for group in groups]
        for groups in (optimizer.param_groups, groups_in(saved["optimizer"], optimizer))
    )
    if there != held:
        raise ValueError(
            f"the optimizer has {len(there)} parameter groups, with {there} parameters, but in "
            f"the checkpoint {folder} it has {len(held)}, with {held}: make it with the same "
            f"groups, or add those that were added on the way in a callback's on_resume_start"
        )
    name = "processes"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            states = parts.of_this_process(run, saved)
            for name, part in parts.parts(run).items():
                state = states[name] if only is None or name in only else None
                # A part without a state has nothing to remember, or was not there.
                if part is not None and state not in (None, {}):
                    is_large = name in ("model", "optimizer")  # which read what they need
                    part.load_state_dict(state if is_large else read_whole(state))
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"what {folder} holds of {name!r} cannot be taken up: {error!r}"
            ) from error
    if run.mode.is_training:
        run.mode.train(optimizer)
    differences = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    for one in caught:
        if not issubclass(one.category, UserWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if differences and run.processes.is_main:
        warn(
            f"this run differs from the one that {folder} is from; its position is "
            f"kept:\n" + "\n".join(differences),
        )


# What is refused before anything has changed


def _checked(saved: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no run writes, however well it is sealed."""
    try:
        "".join(saved["model"].keys())
        saved["stopped"]
        for group in groups_in(saved["optimizer"]):
            len(group["params"])
        for name in ("schedulers", "history", "callbacks", "extra"):
            saved[name].keys()
        for process in [saved["processes"][0], *saved["processes"]]:
            for total, count in (process["losses"], process["gradient_norms"]):
                math.fsum((total, count))
        if saved["loop"].keys() != vars(LoopState()).keys():
            raise TypeError(f"loop={saved['loop']}")
        for instance, least in (LoopState(**saved["loop"]), 0), (Plan(**saved["plan"]), 1):
            for name, hint in get_type_hints(type(instance)).items():
                value = getattr(instance, name)
                is_whole = type(value) is int
                is_right = isinstance(value, hint) or (is_whole and isinstance(0.5, hint))
                is_low = is_whole and value < least and name != "data_seed"
                if not is_right or is_low or isinstance(value, bool) != (hint is bool):
                    raise TypeError(f"{name}={value!r}")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{saved['folder'] / 'state.json'} is damaged: no run writes such a state ({error!r})"
        ) from error
    return saved


def _check_fits(run: Run, saved: dict[str, Any]) -> None:
    """Refuse the state of another model, or of another kind of optimizer."""
    model = run.trainer.get_model(keep_torch_compile=False)
    Weights(model).check(saved["model"], str(saved["folder"]))
    now, before = run.optimizer, saved["plan"]["optimizer"]
    if isinstance(now, Optimizers):
        is_right = {*now.names} == {*saved["optimizer"]}
    else:  # the module may be another, such as that of a script which is imported now
        kinds = {kind.__name__ for kind in type(now).__mro__}
        is_right = before.rpartition(".")[2] in kinds and "param_groups" in saved["optimizer"]
    if not is_right:
        raise ValueError(
            f"the optimizer is a {', '.join(map(class_name, each_of(now)))}, but the checkpoint "
            f"{saved['folder']} holds the state of a {before}: give the Trainer such an optimizer "
            f"again; or, to continue from the weights alone, load its model.safetensors into the "
            f"model with safetensors.torch.load_file, and begin a new run in another folder"
        )
