"""How a run continues from a checkpoint."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

from pytorch_accelerated.checkpoints import folders
from pytorch_accelerated.checkpoints.contents import SavedState, Weights, read_state
from pytorch_accelerated.checkpoints.folders import CheckpointError
from pytorch_accelerated.checkpoints.scheduler_states import class_name
from pytorch_accelerated.run import saving
from pytorch_accelerated.run.loop_state import LoopState, Plan, Stage, check_not_behind, transferred
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.run.run import Run


def find(
    run: Run, resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> SavedState | None:
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


def take_position(run: Run, saved: SavedState, now: Plan) -> None:
    """Go to the place in the data, in terms of this run's batches."""
    run.trainer.print(f"continuing from {saved.folder}")
    loop = LoopState(**saved["loop"])
    check_not_behind(loop, now)
    _check_fits(run, saved)
    loop = transferred(loop, Plan(**saved["plan"]), now)
    saved["loop"] = loop.state_dict()
    run.loop.load_state_dict(saved["loop"])
    run.saved_loop = replace(loop)


def take_up(run: Run, saved: SavedState, remembers_stop: bool) -> None:
    """Restore everything; the generators follow when the first batch is due."""
    _restore(run, saved)
    loop = run.loop
    if loop.is_cut_short and not run.has_reached_limit():
        loop.is_cut_short, loop.stage = False, min(loop.stage, Stage.TRAIN)
    # An epoch that the limit on updates ended early counts, unless it is to be continued.
    run.trainer.run_history.set_epoch(
        loop.history_epoch + (loop.is_cut_short and loop.stage is Stage.BEGIN)
    )
    if remembers_stop:
        run.stopped = saved["stopped"]


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
    _restore(
        run, saved, only={"model", "optimizer", "trained_weights", "schedulers", "scaler", "random"}
    )
    run.random.put_back()
    run.random.at_epoch_start = at_epoch_start  # the pass at hand began as it did
    told = {name: saved[name] for name in ("loop", "history", "callbacks")}
    epoch = LoopState(**saved["loop"]).history_epoch
    return {"current_epoch": epoch, **told, **saved["extra"]}


def _restore(run: Run, saved: SavedState, only: Container[str] | None = None) -> None:
    """Have parts take up their states; what differs is said in one warning."""
    optimizer = getattr(run.trainer.optimizer, "optimizer", run.trainer.optimizer)
    there, held = (
        [len(group["params"]) for group in groups]
        for groups in (optimizer.param_groups, saved["optimizer"]["param_groups"])
    )
    if there != held:
        raise ValueError(
            f"the optimizer has {len(there)} parameter groups, with {there} parameters, but in "
            f"the checkpoint {saved.folder} it has {len(held)}, with {held}: make it with the same "
            f"groups, or add those that were added on the way in a callback's on_resume_start"
        )
    name = "processes"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            states = saving.of_this_process(run, saved)
            for name, part in saving.parts(run).items():
                state = states[name] if only is None or name in only else None
                # A part without a state has nothing to remember, or was not there.
                if part is not None and state not in (None, {}):
                    part.load_state_dict(state)
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"what {saved.folder} holds of {name!r} cannot be taken up: {error!r}"
            ) from error
    if run.mode.is_training:
        run.mode.train(optimizer)
    differences = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    for one in caught:
        if not issubclass(one.category, UserWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if differences and run.processes.is_main:
        warn(
            f"this run differs from the one that {saved.folder} is from; its position is "
            f"kept:\n" + "\n".join(differences),
        )


# What is refused before anything has changed


def _checked(saved: SavedState) -> SavedState:
    """Refuse what no run writes, however well it is sealed."""
    try:
        "".join(saved["model"].keys())
        saved["stopped"]
        for group in saved["optimizer"]["param_groups"]:
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
                is_low = is_whole and value < least and name not in ("num_replanned", "data_seed")
                if not is_right or is_low or isinstance(value, bool) != (hint is bool):
                    raise TypeError(f"{name}={value!r}")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{saved.folder / 'state.json'} is damaged: no run writes such a state ({error!r})"
        ) from error
    return saved


def _check_fits(run: Run, saved: SavedState) -> None:
    """Refuse the state of another model, or of another kind of optimizer."""
    model = run.trainer.get_model(keep_torch_compile=False)
    Weights(model).check(saved["model"], str(saved.folder))
    optimizer = getattr(run.trainer.optimizer, "optimizer", run.trainer.optimizer)
    before = saved["plan"]["optimizer"]
    # The module may be another, such as that of a script which is imported now.
    if before.rpartition(".")[2] not in {kind.__name__ for kind in type(optimizer).__mro__}:
        raise ValueError(
            f"the optimizer is a {class_name(optimizer)}, but the checkpoint "
            f"{saved.folder} holds the state of a {before}: give the Trainer such an optimizer "
            f"again; or, to continue from the weights alone, load its model.safetensors into the "
            f"model with safetensors.torch.load_file, and begin a new run in another folder"
        )
