"""What a training run has to put back: its position, generators, and the optimizer's mode."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.schedulers.optimizers import each_of
from pytorch_accelerated.sharded import fitted


class Stage(IntEnum):
    """What of an epoch is to come next.

    Attributes:
        BEGIN: All of it.
        TRAIN: Batches, and what follows on them.
        EVALUATE: The evaluation: the batches are done and their loss is recorded.
        END: What ends the epoch: the evaluation is recorded, too.
    """

    BEGIN = 0
    TRAIN = 1
    EVALUATE = 2
    END = 3


@dataclass
class LoopState:
    """How far a training run is: enough to continue at the very next update.

    Attributes:
        epoch: Passes over the training data that are done.
        batch: Batches of the pass at hand whose update is done, on each process.
        num_updates: Optimizer updates done.
        data_seed: Seed that the order of the training data is derived from.
        first_history_epoch: The run history's epoch when the run began.
        stage: What of the epoch at hand is to come next.
        is_cut_short: Whether the limit on updates ended the pass at hand before its last batch.
        plan_epoch: Where the run's windows are planned from, if it was continued with other
            batches: the epochs that were done there,
        plan_batch: the batches of the next one,
        plan_update: and the updates.
        num_skipped: Updates that mixed precision has skipped and no second pass has made up for.
        num_repeats: Passes of the epoch at hand that are done. It has a second one only if it is
            the run's last, to make up for skipped updates.
        samples: Samples of the updates done, over all processes; None if they are not counted.
        items: The same for items, which are what ``num_items_in_batch`` counts.
        seconds: Seconds that the updates done took, with all in between; None if not measured.
    """

    epoch: int = 0
    batch: int = 0
    num_updates: int = 0
    data_seed: int = 0
    first_history_epoch: int = 1
    stage: Stage = Stage.BEGIN
    is_cut_short: bool = False
    plan_epoch: int = 0
    plan_batch: int = 0
    plan_update: int = 0
    num_skipped: int = 0
    num_repeats: int = 0
    samples: int | None = None
    items: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        self.stage = Stage(self.stage)

    @property
    def history_epoch(self) -> int:
        """The run history's epoch that the next batch belongs to."""
        return self.first_history_epoch + self.epoch

    @property
    def num_attempts(self) -> int:
        """Updates done, and those that mixed precision has skipped and that are still to come."""
        return self.num_updates + self.num_skipped

    @property
    def epoch_seed(self) -> int:
        """Seed of the data order, and of data workers, in the pass at hand.

        Neighbouring seeds and passes give unrelated orders.
        """
        return random.Random(f"{self.data_seed}, {self.epoch + self.num_repeats}").getrandbits(63)

    def end_epoch(self) -> None:
        """Go to the beginning of the next pass, unless this one may have to continue."""
        if not self.is_cut_short:
            self.epoch += 1
            self.batch = self.num_repeats = 0
        self.stage = Stage.BEGIN

    def on(self, clock: str) -> Any:
        """Return the position on a clock other than updates, which has to be counted."""
        value = getattr(self, clock)
        if value is None:
            raise ValueError(
                f"a scheduler's clock is {clock!r}, but {clock} are not counted in this run: have "
                f"create_scheduler_fn make it, or write a limit in {clock}"
            )
        return value

    def position(self) -> dict[str, int]:
        """Return what a checkpoint's name and manifest tell."""
        return {
            "num_updates": self.num_updates,
            "epoch": self.epoch,
            "batch": self.batch,
            "in_epoch": int(self.stage > Stage.BEGIN),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, as plain numbers."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to another position."""
        vars(self).update(vars(LoopState(**state)))


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do, as far as it matters to a run that continues it.

    Batches and batch sizes are those of one process. What is not known is ``None``.
    """

    num_epochs: int
    max_num_train_steps: int | None
    num_batches_per_epoch: int | None
    per_device_batch_size: int | None
    gradient_accumulation_steps: int | str
    num_processes: int
    gradient_clip_value: float | None
    gradient_clip_norm: float | None
    mixed_precision: str
    optimizer: str
    max_samples: int | None = None
    max_items: int | None = None
    max_time: int | None = None

    @property
    def _samples_per_batch(self) -> int:
        return (self.per_device_batch_size or 1) * self.num_processes

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, as plain values."""
        return vars(self).copy()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Warn of where the plan of a checkpoint differs: this one counts."""
        for name, value in vars(self).items():
            if name in state and state[name] != value:
                warn(f"{name}: {state[name]!r} before, {value!r} now")


# Where these are the same, so are the batches of an epoch.
_OF_THE_DATA = (
    "num_batches_per_epoch",
    "per_device_batch_size",
    "gradient_accumulation_steps",
    "num_processes",
)


def transferred(loop: LoopState, before: Plan, now: Plan) -> LoopState:
    """The position of a run in the batches of another plan.

    The samples of the epoch that are done stay done, except that a part of a batch is done
    again. Updates of the new plan are counted from those that the old one had planned to be done
    by then, so that schedules end with the run.
    """
    if all(getattr(now, name) == getattr(before, name) for name in _OF_THE_DATA):
        return loop
    total = now.num_batches_per_epoch
    batch = loop.batch * before._samples_per_batch // now._samples_per_batch
    if total is not None:
        is_all = loop.batch == before.num_batches_per_epoch
        batch = total if is_all else min(batch, total)
    # In a second pass, which makes up for what was skipped, all windows of the epoch are planned.
    planned = batch if total is None or not loop.num_repeats else total
    begin = replace(loop, plan_epoch=loop.epoch, plan_batch=planned)
    return replace(begin, batch=batch, plan_update=loop.num_attempts)


def check_not_behind(loop: LoopState, now: Plan) -> None:
    """Refuse a run that is shorter than what is done."""
    done = {
        "max_num_train_steps": (now.max_num_train_steps, loop.num_updates),
        "num_epochs": (now.num_epochs, loop.epoch + (loop.batch > 0)),
    }
    for name, (value, least) in done.items():
        if value is not None and value < least:
            raise ValueError(
                f"{name} is {value}, but the checkpoint has done {loop.num_updates} updates "
                f"(epoch {loop.epoch + 1}, batch {loop.batch}): give at least {least}, or resume "
                f"from an earlier checkpoint"
            )


@dataclass
class Window:
    """The window of batches at hand.

    Attributes:
        size: Number of its batches.
        is_open: Whether a batch of it was begun and its update is still to come.
        items: Number of items, such as tokens, of each of its batches, if the batches tell.
        gradient_norm: Norm of its gradients before clipping, if they were clipped by norm.
    """

    size: int = 1
    is_open: bool = False
    items: list[Any] = field(default_factory=list)
    gradient_norm: Tensor | None = None


@dataclass
class Randomness:
    """The states of all generators that training draws from, also of the loader's own.

    Attributes:
        own: Generators of the user's own that the training data loader draws from.
        at_epoch_start: The states in which the pass at hand began: the order of its data may
            have been drawn from any of them.
        held: The states before an evaluation that is under way, and is made again after a resume.
        to_restore: What a checkpoint holds, until it is put back.
    """

    _device: torch.device
    own: list[torch.Generator] = field(default_factory=list)
    at_epoch_start: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Any] | None = None
    to_restore: dict[str, Any] | None = None

    def now(self) -> dict[str, Any]:
        """Return the states as they are, in plain values and tensors."""
        version, words, gauss = random.getstate()
        numpy_words: Any
        _, numpy_words, place, has_gauss, numpy_gauss = np.random.get_state(legacy=True)
        state: dict[str, Any] = {
            "python": [version, torch.tensor(words), gauss],
            "numpy": [
                torch.from_numpy(numpy_words.astype("int64")),
                int(place),
                int(has_gauss),
                float(numpy_gauss),
            ],
            "torch": torch.get_rng_state(),
            "own": [generator.get_state() for generator in self.own],
        }
        if self._device.type != "cpu":
            of_device = torch.get_device_module(self._device)
            state[self._device.type] = of_device.get_rng_state(self._device)
        return state

    def put(self, state: dict[str, Any]) -> None:
        """Go to other states."""
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words.tolist()), gauss))
        numpy_words, *numpy_rest = state["numpy"]
        np.random.set_state(("MT19937", numpy_words.numpy().astype("uint32"), *numpy_rest))
        torch.set_rng_state(state["torch"])
        for generator, its_state in zip(self.own, state["own"], strict=False):
            generator.set_state(its_state)
        if self._device.type in state:
            of_device = torch.get_device_module(self._device)
            of_device.set_rng_state(state[self._device.type], self._device)

    @contextmanager
    def kept(self, is_needed: bool = True) -> Iterator[None]:
        """Undo what is drawn within: a run that continues in an epoch has drawn it before."""
        now = self.now() if is_needed else None
        try:
            yield
        finally:
            if now is not None:
                self.put(now)

    def put_back(self) -> None:
        """Go to the states of the checkpoint that the run continues from, once."""
        if self.to_restore is not None:
            self.put(self.to_restore)
            self.to_restore = None

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"now": self.held or self.now(), "at_epoch_start": self.at_epoch_start}

    def joined(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return a state for a process that was not there: the user's generators are shared."""
        now = self.now()
        return {when: {**now, "own": one["own"]} if one else {} for when, one in state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have the states put back where the run continues; refuse those that cannot be."""
        with self.kept():
            self.put(state["at_epoch_start"] or state["now"])
            self.put(state["now"])
        self.to_restore, self.at_epoch_start = state["now"], state["at_epoch_start"]


def seed_generators(seed: int) -> None:
    """Seed all generators but those of devices, such as those of a data loader's worker."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed % 2**63)


class EpochGenerator(torch.Generator):
    """A generator that the Trainer seeds anew for every epoch; a user's own is never touched."""

    def __init__(self) -> None:
        super().__init__()
        self._borrowers: list[Any] = []
        # What workers are told after they have begun: seed and epoch, for those that outlive an
        # epoch; whether the run is over.
        self.shared = torch.zeros(3, dtype=torch.int64)

    def manual_seed(self, seed: int) -> torch.Generator:
        """Seed the draws, and tell workers that are there already."""
        self.shared[0] = seed
        return super().manual_seed(seed)

    def __reduce__(self) -> tuple[Any, ...]:
        return EpochGenerator, ()  # PyTorch's own would make a plain generator of a copy

    def lend(self, owner: Any) -> None:
        """Have a loader or sampler that has no generator draw from this one for now."""
        self._borrowers.append(owner)
        owner.generator = self

    def take_back(self) -> None:
        """Leave loaders and samplers without a generator again: the run is over."""
        self.shared[2] = 1
        while self._borrowers:
            self._borrowers.pop().generator = None


@dataclass
class OptimizerMode:
    """Switches an optimizer that has ``train()`` and ``eval()`` along with the model.

    Such an optimizer trains other weights than those that are meant to be used, and exchanges
    them in the model. The way back is subject to rounding, so the trained weights are kept
    meanwhile: neither evaluating nor saving changes what is trained.

    Attributes:
        is_training: Whether the model holds the weights that are trained.
        trained: These weights while others are in the model, in the order of the groups.
    """

    is_training: bool = False
    trained: list[Tensor] | None = None

    def train(self, optimizer: Any) -> None:
        """Have the model hold the weights that are trained."""
        for one in _with_modes(optimizer):
            one.train()
            self.is_training = True

    def eval(self, optimizer: Any) -> None:
        """Have the model hold the weights that are meant to be used, from now on."""
        for one in _with_modes(optimizer):
            one.eval()
            self.is_training, self.trained = False, None

    @contextmanager
    def evaluating(self, optimizer: Any) -> Iterator[None]:
        """Have the model hold the weights that are meant to be used, for a while."""
        if not self.is_training:
            for one in _with_modes(optimizer) if self.trained is None else ():
                one.eval()
            yield
            return
        weights = _weights(optimizer)
        self.trained = [weight.detach().clone() for weight in weights]
        self.is_training = False
        for one in _with_modes(optimizer):
            one.eval()
        try:
            yield
        finally:
            self.train(optimizer)
            self.put_back(optimizer)

    def forget(self) -> None:
        """Continue from the weights that are in the model now, which were loaded."""
        self.trained = None

    def put_back(self, optimizer: Any) -> None:
        """Put the weights that are trained into the model, to the bit."""
        if self.trained is not None:
            with torch.no_grad():
                for weight, trained in zip(_weights(optimizer), self.trained, strict=True):
                    weight.copy_(trained)
            self.trained = None


@dataclass
class TrainedWeights:
    """The part of a checkpoint that has the trained weights, where the model's are others."""

    mode: OptimizerMode
    optimizer: Any

    def state_dict(self) -> list[Tensor] | None:
        """Return the weights, if the model holds others."""
        return self.mode.trained

    def load_state_dict(self, state: list[Tensor]) -> None:
        """Continue to train with these weights."""
        self.mode.train(self.optimizer)
        self.mode.trained = [*map(fitted, state, _weights(self.optimizer))]
        self.mode.put_back(self.optimizer)


def _with_modes(optimizer: Any) -> list[Any]:
    # Accelerate's wrapper has both methods, whatever it is around.
    return [
        one
        for one in each_of(getattr(optimizer, "optimizer", optimizer))
        if all(callable(getattr(one, name, None)) for name in ("train", "eval"))
    ]


def _weights(optimizer: Any) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
