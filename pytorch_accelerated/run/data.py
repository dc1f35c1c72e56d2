"""From data sets to batches, in an order that can be repeated."""

from __future__ import annotations

import copy
import inspect
import itertools
import os
import random
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from accelerate import skip_first_batches
from torch import Tensor
from torch.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    get_worker_info,
)

from pytorch_accelerated.checks import kind_of
from pytorch_accelerated.run.loop_state import EpochGenerator

MAX_DEFAULT_WORKERS = 4


def default_loader_kwargs(dataset: Any, batch_size: int, shuffle: bool) -> dict[str, Any]:
    """Return the arguments of a data loader if the user says nothing."""
    # No workers on CPU, where they would compete with training, nor for tensors in memory, where
    # they would only copy. One for a stream, which several would each read as a whole, unless it
    # shares itself out among them. Otherwise a few for each process.
    num_workers = 0
    if torch.cuda.is_available() and not isinstance(innermost(dataset), TensorDataset):
        cpus_per_process = (os.cpu_count() or 1) // max(1, torch.cuda.device_count())
        is_stream = isinstance(dataset, IterableDataset)
        num_workers = 1 if is_stream else max(1, min(MAX_DEFAULT_WORKERS, cpus_per_process))
    return {
        "shuffle": shuffle,
        "pin_memory": torch.cuda.is_available(),
        "batch_size": batch_size,
        "num_workers": num_workers,
        "worker_init_fn": worker_init_fn,
    }


def worker_init_fn(worker_id: int) -> None:
    """Give a data loader's worker random streams that no worker of another process shares.

    PyTorch seeds each worker from the loader's generator, so a run that was seeded repeats its
    augmentations exactly. Processes of a distributed run that were seeded alike would draw the
    same ones, however; here the process's rank is mixed in. Outside a worker nothing happens.

    Args:
        worker_id: The worker's index; unused, since PyTorch's seed of the worker contains it.
    """
    worker, rank = get_worker_info(), int(os.environ.get("RANK", "0"))
    if worker is None or rank == 0:
        return
    # An odd constant near 2⁶⁴ divided by the golden ratio keeps the ranks' seeds far apart.
    seed = (worker.seed + rank * 0x9E3779B97F4A7C15) % 2**63
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)


def merge_loader_kwargs(
    defaults: Mapping[str, Any], kwargs: Mapping[str, Any] | None, dataset: Any
) -> dict[str, Any]:
    """Return arguments for a data loader: the user's, and of the defaults what goes with them."""
    given = dict(kwargs or {})
    excluded: set[str] = set()
    if given.get("sampler") is not None or isinstance(dataset, IterableDataset):
        excluded = {"shuffle"}
    if given.get("batch_sampler") is not None:
        excluded = {"shuffle", "batch_size"}
    return {**{k: v for k, v in defaults.items() if k not in excluded}, **given}


def is_loader(given: Any) -> bool:
    """Return whether a data loader came in place of a data set.

    It is asked here, since scripts put functions in the place of the class in the Trainer's module.
    """
    return isinstance(given, DataLoader)


def kwargs_of(loader: DataLoader[Any], given: Any, name: str) -> dict[str, Any]:
    """Return what to know of a loader that came in place of a data set; refuse arguments for it."""
    if given:
        raise ValueError(
            f"{name} is a DataLoader, which has its arguments already: leave out "
            f"{', '.join(map(repr, given))}, or give its data set"
        )
    check_not_empty(None, loader.dataset, name)
    kind = "batch_size" if loader.batch_size is not None else "batch_sampler"
    return {kind: getattr(loader, kind)}


def batch_size_of(kwargs: Mapping[str, Any], default: int | None) -> int | None:
    """Return the batch size that a data loader with these arguments has, if it is known."""
    if kwargs.get("batch_sampler") is not None:
        return getattr(kwargs["batch_sampler"], "batch_size", default)
    return kwargs.get("batch_size") or default


def length(loader: Any) -> int | None:
    """Return the number of batches in a data loader, ``None`` if it does not know."""
    try:
        return len(loader)
    except TypeError:
        return None


def check_is_data(dataset: Any, name: str) -> None:
    """Refuse what no data loader can be made of, or another one's data."""
    is_one = any(hasattr(type(dataset), method) for method in ("__getitem__", "__iter__"))
    if not is_one or isinstance(dataset, (str, bytes)):
        raise TypeError(
            f"{name} is {kind_of(dataset)}: give a data set or a torch.utils.data.DataLoader"
        )
    is_columns = isinstance(dataset, tuple) and len(dataset) > 1 and all(map(_is_column, dataset))
    if is_columns and len({*map(len, dataset)}) == 1 and len({one.ndim for one in dataset}) > 1:
        raise TypeError(
            f"{name} is a tuple of {len(dataset)} columns, which would be taken for so many "
            f"samples. Write TensorDataset(inputs, targets), of torch.utils.data"
        )
    check_not_empty(None, dataset, name)


def _is_column(values: Any) -> bool:
    """Return whether something looks like the values of several samples."""
    return getattr(values, "ndim", 0) > 0 and len(values) > 1


def check_not_empty(loader: Any, dataset: Any, name: str, at_least: int = 1) -> None:
    """Refuse data that no batch can be made of, or too few for ``at_least`` processes.

    Without a loader, look at the data set only.
    """
    dataset = dataset.dataset if isinstance(dataset, DataLoader) else dataset
    samples = length(dataset)
    if samples == 0:
        raise ValueError(f"{name} is empty: it has no sample to make a batch of")
    if samples is not None and samples < at_least:
        raise ValueError(
            f"{name} has {samples} samples, fewer than the {at_least} processes: each process "
            f"needs at least one. Launch fewer processes or give more data"
        )
    if length(loader) == 0:
        raise ValueError(
            f"the data loader of {name} gives no batch, although there are {samples} samples: "
            f"with drop_last=True a batch may not be larger than the data set"
        )


def rebuilt(loader: DataLoader[Any], indices: Any = None, **changes: Any) -> DataLoader[Any]:
    """Return a loader like another one, but for other indices, and for what is changed."""
    about_order = {"batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"}
    arguments = inspect.signature(DataLoader).parameters.keys() - about_order
    kept = {name: getattr(loader, name) for name in arguments}
    if isinstance(loader.dataset, IterableDataset):
        kept |= {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
    elif loader.batch_sampler is not None:
        kept["batch_sampler"] = loader.batch_sampler if indices is None else indices
    else:
        kept |= {"sampler": loader.sampler if indices is None else indices, "batch_size": None}
    return DataLoader(**{**kept, **changes})


class Wrapper:
    """Put around the user's data set, which has all attributes that it is asked for or given."""

    def __init__(self, dataset: Any, **own: Any) -> None:
        vars(self).update(own, _wrapped=dataset)

    def __getattr__(self, name: str) -> Any:
        # While being copied or unpickled there is no data set yet.
        if name == "_wrapped" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._wrapped, name, value)


def batches_after(loader: Any, num_batches: int) -> Iterator[Any]:
    """Return an iterator over an epoch's batches after the first, which are not read if possible.

    All that the loader draws from random generators for them is drawn at once.
    """
    batch_sampler = getattr(loader, "batch_sampler", None)
    if isinstance(getattr(loader, "dataset", None), IterableDataset):
        batch_sampler = None  # what it has makes no difference to a stream
    if type(loader) is DataLoader and batch_sampler is not None:
        indices = iter(batch_sampler)
        first = itertools.islice(indices, num_batches, num_batches)  # is gone through only once
        # The loader draws a seed for its workers first, as in a whole epoch.
        batches: Iterator[Any] = iter(rebuilt(loader, itertools.chain(first, indices)))
        next(first, None)
        return batches
    if isinstance(loader, DataLoader) and batch_sampler is not None:
        loader, num_batches = skip_first_batches(loader, num_batches), 0
    batches = iter(loader)
    next(itertools.islice(batches, num_batches, num_batches), None)
    return batches


def own_generators(loader: Any) -> list[torch.Generator]:
    """Return the user's own generators that a data loader, as the user made it, draws from."""
    found = (getattr(owner, "generator", None) for owner in owners(loader))
    own = {
        id(one): one
        for one in found
        if isinstance(one, torch.Generator) and not isinstance(one, EpochGenerator)
    }
    return list(own.values())


def owners(loader: Any) -> list[Any]:
    """Return a data loader and its samplers, also those within others: they may draw numbers.

    A test double has a sampler within each sampler for ever, so this looks only so deep as
    samplers are put into others.
    """
    owners, newest = [loader], [loader]
    for _ in range(6):
        inner = [getattr(one, f"{kind}sampler", None) for one in newest for kind in ("", "batch_")]
        known = {id(None), *map(id, owners)}
        newest = list({id(one): one for one in inner if id(one) not in known}.values())
        owners += newest
    return owners


def innermost(dataset: Any) -> Any:
    """Return the data set that subsets are taken of, if they are but that."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset


def tell_epoch_to(dataset: Any, epoch: int) -> None:
    """Tell a data set that depends on the epoch, or those it is made of, which one is next."""
    if callable(getattr(dataset, "set_epoch", None)):
        dataset.set_epoch(epoch)
    elif type(dataset) is Subset:
        tell_epoch_to(dataset.dataset, epoch)
    elif isinstance(dataset, ConcatDataset | ChainDataset):
        for part in dataset.datasets:
            tell_epoch_to(part, epoch)


def tell_epoch(loader: Any, epoch: int) -> None:
    """Tell samplers and data sets that depend on the epoch which one is next."""
    if hasattr(loader, "iteration"):
        loader.iteration = epoch  # Accelerate's loaders tell it
    for one in (*owners(loader)[1:], getattr(loader, "dataset", None)):
        tell_epoch_to(one, epoch)


# Tensors in memory: one index for each tensor, not one for each sample


def by_rows(loader: Any) -> Any:
    """Return what gives a loader's batches at once, if its data are tensors in memory.

    That is so for a `TensorDataset`, or `Subset` of one, whose samples PyTorch stacks. What is
    returned is for one pass: the loader itself, with the user's data set, stays as it is.
    """
    # Slices, and Accelerate's loaders, have another one within.
    for name in {"dl", "base_dataloader"} & getattr(loader, "__dict__", {}).keys():
        inner = getattr(loader, name)
        quick = by_rows(inner)
        if quick is inner:
            return loader
        around = copy.copy(loader)
        setattr(around, name, quick)
        if hasattr(loader, "iteration"):
            loader.iteration += 1  # as the pass itself would have counted
        return around
    is_stacked = (
        type(loader) is DataLoader
        and loader.batch_sampler is not None
        and loader.collate_fn is default_collate
    )
    if not is_stacked or not _has_plain_rows(loader.dataset):
        return loader
    return rebuilt(loader, dataset=_Rows(loader.dataset), collate_fn=_as_it_is)


def _has_plain_rows(dataset: Any) -> bool:
    """Return whether stacking samples gives the very rows that an index would."""
    tensors = innermost(dataset)
    return type(tensors) is TensorDataset and all(
        type(one) is Tensor
        and one.layout is torch.strided
        and not (one.requires_grad or one.is_nested or one.is_quantized)
        and not (one.is_conj() or one.is_neg())
        for one in tensors.tensors
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _is_row(index: Any) -> bool:
    """Return whether an index says which row; what is true or false adds a dimension instead."""
    if isinstance(index, Tensor):
        return index.dim() == 0 and index.dtype not in (torch.bool, torch.uint8)
    return type(index) is not bool


class _Rows(Wrapper, Dataset[Any]):
    """Tensors in memory, which give batches instead of lists of samples."""

    def __len__(self) -> int:
        return len(self._wrapped)

    def __getitems__(self, indices: Any) -> list[Tensor]:
        dataset: Any = self._wrapped
        rows = indices = list(indices)
        try:
            while type(dataset) is Subset:
                dataset, rows = dataset.dataset, [dataset.indices[i] for i in rows]
            if {*map(type, rows)} == {int} or all(map(_is_row, rows)):
                # An array takes whole numbers of any kind; it is made of a list six times as
                # fast as a tensor is.
                index = torch.frombuffer(array("q", rows), dtype=torch.int64)
                return [one.index_select(0, index.to(one.device)) for one in dataset.tensors]
        except (IndexError, OverflowError, RuntimeError, TypeError, ValueError):
            pass  # what one index cannot do, or an error that is to be that of a sample
        batch: list[Tensor] = default_collate([self._wrapped[i] for i in indices])
        return batch
