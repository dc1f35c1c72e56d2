"""What a checkpoint of a run holds: its parts, and the files that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import DistributedType

from pytorch_accelerated.checkpoints.contents import (
    Part,
    Weights,
    files_of,
    files_of_process,
    fitted_to_optimizer,
    taken_apart,
)
from pytorch_accelerated.checkpoints.writer import RunCheckpoints
from pytorch_accelerated.checks import same
from pytorch_accelerated.run.loop_state import TrainedWeights
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.schedulers.optimizers import groups_in

# What splits models in a way of its own.
_SPLIT = {DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM}


# What there is to save

# Parts of which each process has its own; of callbacks, those that say so.
_OF_EACH_PROCESS = ("losses", "gradient_norms", "random", "callbacks")


def parts(run: Run) -> dict[str, Part | None]:
    """Return all that a checkpoint holds, in the order of restoring; a new part is a line here."""
    trainer = run.trainer
    return {
        "plan": run.plan,
        "model": Weights(trainer.get_model(keep_torch_compile=False)),
        "optimizer": _Optimizer(run.optimizer, trainer.scheduler is not None),
        "trained_weights": TrainedWeights(run.mode, run.optimizer),
        "schedulers": run.schedulers.look(trainer.scheduler),
        "scaler": run.accelerator.scaler,
        "loop": run.loop,
        "losses": trainer._loss_tracker,
        "gradient_norms": run.norms,
        "history": trainer.run_history,
        "callbacks": trainer.callback_handler,
        "random": run.random,
    }


def check_can_be_saved(run: Run) -> None:
    """Refuse models that only their engine can save."""
    kind = run.accelerator.distributed_type
    if kind in _SPLIT and not run.is_sharded:
        raise ValueError(
            f"training states of models that {kind} has split among processes cannot be saved: "
            f"split the model with torch.distributed.fsdp.fully_shard (FSDP2), train with "
            f"distributed data parallel, or save the weights with Accelerate's own means"
        )


def files_of_run(
    run: Run, extra: dict[str, Any] | None = None, checkpoints: RunCheckpoints | None = None
) -> dict[str, Iterable[Any]]:
    """Return the files of a checkpoint that this process writes."""
    processes = run.processes
    check_can_be_saved(run)
    run.fire("before_checkpoint")
    with run.evaluation_weights():
        states = {
            name: None if part is None else part.state_dict()
            for name, part in parts(run).items()
            if processes.is_main or run.is_sharded or name in _OF_EACH_PROCESS
        }
        own = {name: states.pop(name) for name in _OF_EACH_PROCESS}
        states["callbacks"] = own["callbacks"]
        own["callbacks"] = run.trainer.callback_handler.state_dict(of_each_process=True)
        states |= {
            "processes": processes.to_main(own),
            "stopped": run.stopped,
            "extra": extra or {},
        }
        with processes.main_for_all() as is_main:
            # First the job before ends, which may have failed.
            takes_part = is_main or run.is_sharded
            kept = checkpoints.copies() if checkpoints is not None and takes_part else None
            contents = taken_apart(states) if takes_part else None
            if contents is None or not run.is_sharded:
                return {} if contents is None else files_of(contents, kept)
        # Processes that gather tensors wait for each other.
        if run.writes_shards:
            return files_of_process(contents, run.accelerator.process_index, kept)
        if is_main:
            return files_of(contents, kept)
        contents.join_in()
        return {}


def of_this_process(run: Run, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's states for this process, also if it is of more or fewer of them."""
    processes, index = saved["processes"], run.accelerator.process_index
    own = dict(processes[index]) if index < len(processes) else {"callbacks": {}}
    own["callbacks"] = {**saved["callbacks"], **own["callbacks"]}
    before, now = saved["plan"]["num_processes"], run.processes
    if (len(processes), before) != (now.count, now.shares):
        # Each had a sum of its own, of which no process has the right one now.
        for name in processes[0]["callbacks"]:
            own["callbacks"].pop(name, None)
        # All share the order of the data, so a generator of the user's own is alike on each.
        own.setdefault("random", run.random.joined(processes[0]["random"]))
        if now.shares < now.count:  # those that compute the same have to draw the same
            own["random"] = processes[now.share % len(processes)]["random"]
        own["gradient_norms"] = processes[0]["gradient_norms"]
        own["losses"] = [0.0, 0.0]
        if run.processes.is_main:
            losses = [one["losses"] for one in processes]
            # Those that share a batch have each counted it.
            copies = (before / len(processes)) * (now.count / now.shares)
            own["losses"] = [sum(numbers) * copies for numbers in zip(*losses, strict=True)]
    return {**saved, **own}


# The optimizer as a part

_NUMBERS = (int, float, torch.Tensor)


@dataclass
class _Optimizer:
    """The optimizer, whose base values are the checkpoint's."""

    optimizer: Any
    is_scheduled: bool

    def state_dict(self) -> Any:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Any) -> None:
        rows = zip(self.optimizer.param_groups, groups_in(state, self.optimizer), strict=False)
        for i, (now, before) in enumerate(rows):
            for name, value in now.items():
                if type(value) in _NUMBERS and type(before.get(name, value)) not in _NUMBERS:
                    raise TypeError(f"{name} of parameter group {i} is {before[name]!r}")
            names = [name for name in now if name.startswith("initial_") and name in before]
            for name in names if self.is_scheduled else [*names, "lr"]:
                one, other = (
                    value.tolist() if isinstance(value, torch.Tensor) else value
                    for value in (before[name], now[name])
                )
                if not same(one, other):
                    warn(
                        f"{name.removeprefix('initial_')} of parameter group {i}: {one!r} "
                        f"before, {other!r} now; the former counts. To change it, set the "
                        f"group's {name!r} in on_training_run_start",
                    )
        self.optimizer.load_state_dict(fitted_to_optimizer(state, self.optimizer))
