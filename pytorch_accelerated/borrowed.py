"""Using a model for a while, and giving its tensors and what is random back bit for bit."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pytorch_accelerated.checks import wrong_kind

# What `torch.compile` puts into the names of a module that is compiled, at any depth.
COMPILED = re.compile(r"(^|\.)_orig_mod\.")
uncompiled = partial(COMPILED.sub, r"\1")


def checked_module(name: str, value: Any) -> nn.Module:
    """Return a module; raise if the argument is not one."""
    if not isinstance(value, nn.Module):
        raise wrong_kind(name, value, "a torch.nn.Module.")
    return value


def tables_of(part: nn.Module) -> list[dict[str, Any]]:
    """Return what a module holds by name: parameters, buffers, and all its attributes."""
    return [part._parameters, part._buffers, vars(part)]


@contextmanager
def tensors_kept(
    modules: Iterable[nn.Module], others: Iterable[Tensor] = (), attributes: bool = False
) -> Iterator[None]:
    """Put parameters, buffers and gradients back at the end, and ``attributes`` too on demand.

    Each is the same object as before, with the values that it had. Meanwhile there are no
    gradients, so that those of the user are not added to.
    """
    tables = [
        (table, dict(table))
        for module in modules
        for part in module.modules()
        for table in tables_of(part)[: 3 if attributes else 2]
    ]
    held = [one for _, before in tables for one in before.values() if isinstance(one, Tensor)]
    tensors = {id(tensor): tensor for tensor in [*held, *others]}.values()
    values = [(tensor, tensor.detach().clone()) for tensor in tensors if _is_writable(tensor)]
    gradients = [(tensor, tensor.grad) for tensor in tensors if tensor.is_leaf]
    for tensor, _ in gradients:
        tensor.grad = None
    try:
        yield
    finally:
        for table, before in tables:
            table.clear()
            table.update(before)
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value)
        for tensor, gradient in gradients:
            tensor.grad = gradient


def _is_writable(tensor: Tensor) -> bool:
    """Say whether each element has memory of its own, unlike those of an expanded tensor."""
    return all(step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


@contextmanager
def randomness_kept(generators: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Put the states of all random number generators back at the end.

    They are the global ones of Python, NumPy and PyTorch, and the given ``generators``.
    """
    states = [(generator, generator.get_state()) for generator in generators]
    python = random.getstate()
    numpy: Any = sys.modules.get("numpy.random")
    of_numpy = numpy.get_state() if numpy is not None else None
    # A device that nobody has used is not woken up for this.
    is_awake = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if is_awake else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for generator, state in states:
            generator.set_state(state)
        random.setstate(python)
        if numpy is not None:
            numpy.set_state(of_numpy)
