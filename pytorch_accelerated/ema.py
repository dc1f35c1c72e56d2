"""The exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from gc import get_referents
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pytorch_accelerated.borrowed import checked_module, tensors_kept, uncompiled
from pytorch_accelerated.checks import finite
from pytorch_accelerated.sharded import all_fitted, is_sharded, local, reshard

# What functions are found in, from the tables of a module on.
_HOLDERS = (dict, list, tuple, partial, CellType, FunctionType, MethodType)


class ModelEma(nn.Module):
    r"""A frozen copy of a model that follows it as an exponential moving average.

    After each update, ``average = decay · average + (1 − decay) · weights``, for parameters and
    buffers, matched by name. Entries that are not floating-point numbers, such as batch
    normalisation's counters, are copied.

    The copy has the model's types of number, but averages are kept in single precision at least,
    those of narrower entries in ``wide``: in half precision, the small steps of an average would be
    rounded away, and it would stand still.

    Args:
        model: The model to follow; wrappers of distributed training and ``torch.compile`` are
            looked through.
        decay: How much of the average stays at each update, from 0 to 1.

    Attributes:
        module: The averaged model, in evaluation mode.
        wide: The averages of entries in half precision, which `module` shows rounded.
        decay: How much of the average stays at each update; may be changed between updates.

    Raises:
        TypeError: ``model`` is not a module, or ``decay`` is not a number.
        ValueError: ``decay`` is not within 0 to 1.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> ema = ModelEma(model, decay=0.75)
        >>> with torch.no_grad():
        ...     _ = ema.module.weight.fill_(1.0), model.weight.fill_(3.0)
        >>> ema.update(model)
        >>> ema.module.weight.item()
        1.5
        >>> with ema.applied_to(model):
        ...     model.weight.item()
        1.5
        >>> model.weight.item()
        3.0
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999) -> None:
        super().__init__()
        self.decay = checked_decay(decay)
        self.module = (
            _plain_copy(_unwrapped(checked_module("model", model))).eval().requires_grad_(False)
        )
        self._widen(dict(_tensors(self.module)))

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load averages, which may be whole where the model's tensors are split."""
        state_dict = all_fitted(state_dict, self.state_dict())
        return super().load_state_dict(state_dict, *args, **kwargs)

    def _widen(self, averages: dict[str, Tensor]) -> None:
        """Keep the averages of narrow entries in single precision."""
        narrow = {name: entry for name, entry in _tensors(self.module) if _is_narrow(entry)}
        self._narrow = list(narrow)
        self.wide = nn.ParameterList(
            nn.Parameter(
                averages[name].to(
                    entry.device, torch.complex64 if entry.is_complex() else torch.float32
                ),
                requires_grad=False,
            )
            for name, entry in narrow.items()
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ModelEma:
        """Move or cast the module; the averages continue as they were before they were rounded."""
        before = {**dict(_tensors(self.module)), **dict(zip(self._narrow, self.wide, strict=True))}
        averages = {name: entry.detach() for name, entry in before.items()}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for name, entry in _tensors(self.module):
                if name in self._narrow:
                    entry.copy_(averages[name])
        self._widen(averages)
        return self

    def update_fn(self, old: Tensor, new: Tensor) -> Tensor:
        """The next average of one entry; override it for another kind of average.

        Args:
            old: The average so far.
            new: The model's value.
        """
        return self.decay * old + (1 - self.decay) * new

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards a model.

        Args:
            model: A model with the same entries.

        Raises:
            ValueError: Its entries have other names or shapes.
        """
        averages, values = self._averages_and_values(model)
        if getattr(self.update_fn, "__func__", None) is ModelEma.update_fn:
            if averages:
                # One launch for all tensors instead of one for each.
                get_ema_multi_avg_fn(self.decay)(averages, values, 0)  # type: ignore[no-untyped-call]
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(self.update_fn(average, value))
        self._show()

    @torch.no_grad()
    def set(self, model: nn.Module) -> None:
        """Start the average anew at a model's values.

        Args:
            model: A model with the same entries.

        Raises:
            ValueError: Its entries have other names or shapes.
        """
        for average, value in zip(*self._averages_and_values(model), strict=True):
            average.copy_(value)
        self._show()

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Have a model hold the average for a while; it gets its own weights back at the end.

        Unlike ``module``, it is the very model: whatever it calls, hooks and functions that were
        compiled or replaced included, works with the averaged weights.

        Args:
            model: A model with the same entries.

        Raises:
            ValueError: Its entries have other names or shapes.
        """
        pairs = self._pairs(model)
        with tensors_kept([model]):
            with torch.no_grad():
                for average, value in pairs:
                    value.copy_(average)
            yield

    def _show(self) -> None:
        """Cast the averages that are kept in higher precision into the module."""
        entries = dict(_tensors(self.module))
        for name, average in zip(self._narrow, self.wide, strict=True):
            local(entries[name]).copy_(local(average))

    def _pairs(self, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
        """Return each average with the model's own entry; tied weights come once."""
        names = self.module.state_dict().keys()
        state = _unwrapped(checked_module("model", model)).state_dict(keep_vars=True)
        theirs = {uncompiled(name): entry for name, entry in state.items()}
        if names != theirs.keys():
            missing, unknown = sorted(names - theirs), sorted(theirs.keys() - names)
            raise ValueError(
                f"the model is not the one that is averaged: it lacks {missing}, "
                f"and has {unknown} in addition"
            )
        pairs, wide = [], dict(zip(self._narrow, self.wide, strict=True))
        for name, entry in _tensors(self.module):
            if entry.shape != theirs[name].shape:
                raise ValueError(
                    f"the model is not the one that is averaged: {name} has the shape "
                    f"{tuple(theirs[name].shape)}, its average {tuple(entry.shape)}"
                )
            pairs.append((local(wide.get(name, entry)), local(theirs[name])))
        return pairs

    def _averages_and_values(self, model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Return what is averaged with the model's values; what is not is copied at once."""
        averages, values = [], []
        for average, value in self._pairs(model):
            if _has_fractions(average):
                averages.append(average)
                values.append(value.to(device=average.device, dtype=average.dtype))
            else:
                average.copy_(value)
        return averages, values


def checked_decay(decay: object) -> float:
    """Return ``decay`` as a float; raise if it is not a number from 0 to 1."""
    number = finite("decay", decay)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"decay={decay!r} has to be from 0 to 1. Write decay=0.999.")
    return number


def _has_fractions(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _is_narrow(tensor: Tensor) -> bool:
    return _has_fractions(tensor) and torch.finfo(tensor.dtype).bits < 32


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Give the tensors of a module's state by name; tied weights come once."""
    seen: set[int] = set()
    for name, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor) and id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner  # torch.compile
        else:
            return model


def _plain_copy(model: nn.Module) -> nn.Module:
    """Return a copy without what Accelerate has put on a model for a run."""
    if is_sharded(model):
        reshard(model)
        return _holder(model, {})
    copied = copy.deepcopy(model)
    attributes = vars(copied)
    attributes.pop("_is_accelerate_prepared", None)
    if "_original_forward" in attributes:
        del attributes["forward"]
        forward = attributes.pop("_original_forward")
        if getattr(forward, "__func__", forward) is not type(copied).forward:
            copied.forward = forward
    for part in copied.modules():
        # An average has the same names whether parts of the model are compiled or not.
        for name, one in part._modules.items():
            part._modules[name] = None if one is None else _unwrapped(one)
    if _may_call(copied, model):
        copied.register_forward_pre_hook(_refuse)
    return copied


def _holder(model: nn.Module, seen: dict[int, Tensor]) -> nn.Module:
    """Return modules with copies of a model's tensors by their names, which compute nothing."""

    def copied(value: Tensor | None) -> Any:
        if value is not None and id(value) not in seen:  # tied weights stay so
            one = value.detach().clone()
            seen[id(value)] = nn.Parameter(one) if isinstance(value, nn.Parameter) else one
        return None if value is None else seen[id(value)]

    holder = nn.Module()
    for name, weight in model._parameters.items():
        holder.register_parameter(name, copied(weight))
    for name, buffer in model._buffers.items():
        is_kept = name not in model._non_persistent_buffers_set
        holder.register_buffer(name, copied(buffer), persistent=is_kept)
    for name, part in model._modules.items():
        holder.add_module(name, None if part is None else _holder(_unwrapped(part), seen))
    return holder


def _may_call(copied: nn.Module, model: nn.Module) -> bool:
    """Return whether functions of a copy, which are the original's very own, hold the original."""
    theirs = {id(one) for one in (*model.modules(), *model.parameters(), *model.buffers())}
    held: list[Any] = [vars(part) for part in copied.modules()]
    if any(isinstance(table.get("forward"), FunctionType) for table in held):
        return True
    seen: set[int] = set()
    while held:
        one = held.pop()
        if id(one) in theirs:
            return True
        if id(one) not in seen and isinstance(one, _HOLDERS):
            seen.add(id(one))
            held += (one.__closure__ or ()) if isinstance(one, FunctionType) else get_referents(one)
    return False


def _refuse(module: nn.Module, arguments: Any) -> None:
    raise RuntimeError(
        f"{type(module).__name__} has a forward, a hook or another function of its own, which "
        f"may call the model it was copied from, so the copy would compute with that model's "
        f"weights. Write: with ema.applied_to(model): model(…)"
    )
