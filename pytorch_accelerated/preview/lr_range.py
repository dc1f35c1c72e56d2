"""A learning-rate range test: an exponential schedule over a short run that leaves no trace."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pytorch_accelerated.borrowed import checked_module, randomness_kept, tables_of, tensors_kept
from pytorch_accelerated.checks import finite, whole, wrong_kind
from pytorch_accelerated.preview.simulation import one_within_another
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.optimizers import OneOrMore, Optimizers, as_one, each_of
from pytorch_accelerated.schedules import exponential
from pytorch_accelerated.sharded import is_sharded

if TYPE_CHECKING:
    from pytorch_accelerated.preview.plot import Picture


@dataclass(frozen=True)
class LrRange:
    """What a range test found; see :func:`find_lr`.

    Attributes:
        learning_rates: What each update ran with, in the group with the highest rate.
        losses: The loss of each update's batch, before the update.
        smoothed: The losses, none higher than before their minimum, each averaged with its
            neighbours on both sides.
        suggestion: The rate at which the smoothed loss falls fastest; None if it never falls.
        has_diverged: Whether the test stopped because the loss had grown too much.
    """

    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    has_diverged: bool

    def __str__(self) -> str:
        tested = f"{len(self.losses)} updates from {self.learning_rates[0]:.3g} to "
        tested += f"{self.learning_rates[-1]:.3g}"
        end = ", where the loss diverged" if self.has_diverged else ""
        if self.suggestion is None:
            return f"No suggestion: the loss does not fall ({tested}{end})."
        return f"Suggested learning rate: {self.suggestion:.3g} ({tested}{end})."

    def plot(self) -> Picture:
        """Draw the loss over the learning rate, and the suggestion.

        Returns:
            A ``matplotlib.figure.Figure``: a notebook shows it, ``savefig(path)`` writes it.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from pytorch_accelerated.preview.plot import plot_lr_range

        return plot_lr_range(self.learning_rates, self.losses, self.smoothed, self.suggestion)


def find_lr(
    model: nn.Module,
    loss_func: Callable[[Any, Any], Tensor],
    optimizer: OneOrMore,
    dataloader: Iterable[Any],
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    num_updates: int = 100,
    smoothing: float = 0.8,
    divergence: float = 4.0,
) -> LrRange:
    """Raise the learning rate from update to update, and see where the loss falls fastest.

    Update k of n runs with ``lowest · (highest / lowest)^(k / (n − 1))`` in the group with the
    highest rate; other groups keep their proportion to it. The suggestion is the rate at which
    the smoothed loss falls most steeply over the logarithm of the rate, before its minimum. It
    is a first guess for a run of its own, often a little high for long ones.

    The model itself is used, with a copy of the optimizer. Weights, buffers, gradients and modes
    of the model, a loss with parameters, and the states of the random number generators (those of
    the data loader, too) then come back as they were, bit for bit, also after an error.

    Args:
        model: The model. It runs where its parameters are, in training mode.
        loss_func: Called with the model's output and the target, returns the loss.
        optimizer: The optimizer of the model, of any kind, with any parameter groups, or a list
            of several, of which all groups keep their proportions.
        dataloader: Yields batches of an input and a target; starts over as often as needed.
        lowest: The first learning rate, above 0.
        highest: The last one, above ``lowest``.
        num_updates: How many updates, at least 2.
        smoothing: The weight of a neighbour in the smoothed loss, in [0, 1); of the second
            next ``smoothing²``, and so on.
        divergence: The test stops where the running mean of the loss is more than so many times
            its lowest value, or is not finite.

    Raises:
        ValueError: If an argument is out of range, the data loader is empty, the model is sharded,
            or no parameter group has a learning rate above 0.
        TypeError: If an argument is of the wrong kind, or the optimizer cannot be copied.

    References:
        Smith, arXiv:1506.01186.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.preview import find_lr
        >>> generator = torch.Generator().manual_seed(0)
        >>> x = torch.randn(64, 3, generator=generator)
        >>> batches = [(x, x.sum(dim=1, keepdim=True))]
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> found = find_lr(model, torch.nn.MSELoss(), optimizer, batches)
        >>> 0.001 < found.suggestion < 1.0, found.has_diverged
        (True, True)
    """
    lowest, highest = finite("lowest", lowest), finite("highest", highest)
    if not 0.0 < lowest < highest:
        raise ValueError(
            f"lowest={lowest!r}, highest={highest!r}: the lowest has to be above 0 and below the "
            "highest."
        )
    num_updates = whole("num_updates", num_updates, 2)
    if not 0.0 <= finite("smoothing", smoothing) < 1.0:
        raise ValueError(f"smoothing={smoothing!r} has to be at least 0 and below 1.")
    if finite("divergence", divergence) <= 1.0:
        raise ValueError(f"divergence={divergence!r} has to be above 1.")
    modules = [
        checked_module("model", model),
        *([loss_func] if isinstance(loss_func, nn.Module) else []),
    ]
    if is_sharded(model):
        raise ValueError(
            "The model is sharded: each process has data of its own, and would stop at another "
            "rate. Call find_lr on one process, before fully_shard."
        )
    twins = [_copy_of(one, modules) for one in each_of(as_one(optimizer))]
    twin = twins[0] if len(twins) == 1 else Optimizers(twins)
    weights = [weight for group in twin.param_groups for weight in group["params"]]
    with (
        randomness_kept(_generators_of(dataloader)),
        tensors_kept(modules, weights, attributes=True),
    ):
        model.train()
        for one in twins:
            if callable(prepare := getattr(one, "train", None)):
                prepare()  # optimizers that evaluate with other weights than they train
        run = _run(model, loss_func, twin, dataloader, (lowest, highest, num_updates))
        return _tested(run, smoothing, divergence)


def _tested(run: Iterator[tuple[float, float]], smoothing: float, divergence: float) -> LrRange:
    """Take rates and losses from a run, until it has diverged or ended."""
    rates: list[float] = []
    losses: list[float] = []
    mean, lowest = 0.0, math.inf
    has_diverged = False
    for k, (rate, loss) in enumerate(run, 1):
        mean = smoothing * mean + (1.0 - smoothing) * loss
        level = mean / (1.0 - smoothing**k)
        if not math.isfinite(level):
            has_diverged = True
            break
        rates.append(rate)
        losses.append(loss)
        lowest = min(lowest, level)
        if level > lowest + (divergence - 1.0) * abs(lowest):
            has_diverged = True
            break
    if not losses:
        raise ValueError("The loss of the very first batch is not a finite number.")
    smoothed = _smoothed(losses, smoothing)
    return LrRange(
        tuple(rates), tuple(losses), tuple(smoothed), _steepest(rates, smoothed), has_diverged
    )


def _smoothed(losses: Sequence[float], smoothing: float) -> list[float]:
    """Return means with weight ``smoothing^d`` for what is d positions away, on both sides.

    A mean of the past alone would lag, and move the suggestion up.
    """

    def sums(values: Iterable[float]) -> list[float]:
        return list(accumulate(values, lambda total, value: smoothing * total + value))

    def both_sides(values: Sequence[float]) -> list[float]:
        before, after = sums(values), sums(reversed(values))[::-1]
        return [b + a - own for b, a, own in zip(before, after, values, strict=True)]

    # Where the loss explodes it would reach far into what came before.
    lowest = min(range(len(losses)), key=losses.__getitem__)
    cap = max(losses[: lowest + 1])
    losses = [min(loss, cap) for loss in losses]
    weights = both_sides([1.0] * len(losses))
    return [total / weight for total, weight in zip(both_sides(losses), weights, strict=True)]


def _steepest(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls fastest before its minimum."""
    end = min(range(len(smoothed)), key=smoothed.__getitem__)
    # The rates' logarithms are evenly spaced, so differences are slopes.
    slopes = {k: smoothed[k + 1] - smoothed[k - 1] for k in range(1, min(end + 1, len(rates) - 1))}
    if not slopes:
        return None
    best = min(slopes, key=slopes.__getitem__)
    return rates[best] if slopes[best] < 0.0 else None


def _run(
    model: nn.Module,
    loss_func: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    dataloader: Iterable[Any],
    test: tuple[float, float, int],
) -> Iterator[tuple[float, float]]:
    """Make updates; yield the rate of each, and the loss of its batch before it."""
    lowest, highest, num_updates = test
    bases = [_base(group) for group in optimizer.param_groups]
    top = max(range(len(bases)), key=bases.__getitem__)
    if bases[top] <= 0.0:
        raise ValueError("No parameter group has a learning rate above 0, so none can be raised.")
    schedule = exponential(num_updates - 1, start=lowest / bases[top], end=highest / bases[top])
    scheduler = ParamScheduler(optimizer, lr=schedule)
    device = next((parameter.device for parameter in model.parameters()), None)
    batches = _endless(dataloader)
    for _ in range(num_updates):
        inputs, targets = _pair(next(batches), device)
        optimizer.zero_grad()
        loss = loss_func(model(inputs), targets)
        yield plain(optimizer.param_groups[top]["lr"]), loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()


def _base(group: dict[str, Any]) -> float:
    """Put a group's base rate in force, which another scheduler may have changed, and return it."""
    base = float(plain(group.pop("initial_lr", group["lr"])))
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(base)
    else:
        group["lr"] = base
    return base


def _endless(dataloader: Iterable[Any]) -> Iterator[Any]:
    while True:
        is_empty = True
        for batch in dataloader:
            is_empty = False
            yield batch
        if is_empty:
            raise ValueError("dataloader has no batches (any more), and the test needs some.")


def _pair(batch: Any, device: torch.device | None) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise TypeError(
            f"A batch is a {type(batch).__name__}, but has to be a pair of input and target. Wrap "
            "the data loader, for example in (pair(batch) for batch in loader) as a list."
        )
    return _moved(batch[0], device), _moved(batch[1], device)


def _moved(value: Any, device: torch.device | None) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    return [_moved(item, device) for item in value] if isinstance(value, tuple | list) else value


def _copy_of(optimizer: Any, modules: Iterable[nn.Module]) -> Optimizer:
    """Return a copy with a state of its own that updates the very same weights."""
    within = one_within_another(optimizer, "optimizer")
    found: Any = next((one for one in within if isinstance(one, Optimizer)), None)
    if found is None:
        raise wrong_kind("optimizer", optimizer, "an optimizer of PyTorch's kind.")
    optimizer = found
    if type(optimizer).__name__ == "AcceleratedOptimizer":
        optimizer = optimizer.optimizer
    shared = [part for module in modules for part in module.modules()]
    tensors = [
        tensor
        for part in shared
        for table in tables_of(part)
        for tensor in table.values()
        if isinstance(tensor, Tensor)
    ]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    memo: dict[int, Any] = {id(one): one for one in [*shared, *tensors, *weights]}
    # Hooks, and the step that schedulers have patched, belong to the real one.
    own = {
        name: value
        for name, value in vars(optimizer).items()
        if name != "step" and not name.endswith("_hooks")
    }
    try:
        copied = copy.deepcopy(own, memo)
    except Exception as error:
        raise TypeError(
            f"The test needs a copy of the optimizer, which cannot be copied: {error}"
        ) from error
    twin: Optimizer = object.__new__(type(optimizer))
    twin.__setstate__(copied)
    return twin


def _generators_of(dataloader: Any) -> list[torch.Generator]:
    samplers = [dataloader]
    for name in ("sampler", "batch_sampler"):
        samplers += [getattr(one, name) for one in list(samplers) if hasattr(one, name)]
    found = [getattr(sampler, "generator", None) for sampler in samplers]
    return [one for one in found if isinstance(one, torch.Generator)]
