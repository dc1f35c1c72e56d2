"""From data sets to the batches of one process, in an order that can be repeated."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

MAX_DEFAULT_WORKERS = 4


class EpochGenerator(torch.Generator):
    """A generator that the Trainer seeds anew for every epoch; a user's own is never touched."""


def default_num_workers(dataset: Any) -> int:
    """Worker processes for a data set if the user says nothing.

    None on CPU, where workers would compete with training, nor for tensors in memory, where they
    would only copy. Otherwise a few for each process.

    Args:
        dataset: the data set.
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    if not torch.cuda.is_available() or isinstance(dataset, TensorDataset):
        return 0
    cpus_per_process = (os.cpu_count() or 1) // torch.cuda.device_count()
    return max(1, min(MAX_DEFAULT_WORKERS, cpus_per_process))


def merge_loader_kwargs(
    defaults: Mapping[str, Any], kwargs: Mapping[str, Any] | None, dataset: Any
) -> dict[str, Any]:
    """Arguments for a data loader: the user's, and of the defaults what goes with them.

    Args:
        defaults: the defaults.
        kwargs: the user's.
        dataset: the data set.
    """
    given = dict(kwargs or {})
    excluded: set[str] = set()
    if given.get("sampler") is not None or isinstance(dataset, IterableDataset):
        excluded = {"shuffle"}
    if given.get("batch_sampler") is not None:
        excluded = {"shuffle", "batch_size"}
    return {**{k: v for k, v in defaults.items() if k not in excluded}, **given}


def batch_size_of(kwargs: Mapping[str, Any], default: int) -> int:
    """Batch size that a data loader with these arguments has.

    Args:
        kwargs: arguments of the data loader.
        default: the size if they do not tell.
    """
    if kwargs.get("batch_sampler") is not None:
        return getattr(kwargs["batch_sampler"], "batch_size", default)
    return kwargs.get("batch_size") or default


def length(loader: Any) -> int | None:
    """Number of batches in a data loader, ``None`` if it does not know.

    Args:
        loader: the data loader.
    """
    try:
        return len(loader)
    except TypeError:
        return None


def check_not_empty(loader: Any, dataset: Any, name: str, at_least: int = 1) -> None:
    """Refuse data that no batch can be made of.

    Args:
        loader: the data loader.
        dataset: its data set.
        name: name of the data set's argument.
        at_least: number of samples that are needed.

    Raises:
        ValueError: the data set or the loader is empty, or has too few samples.
    """
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


class _EveryNth(IterableDataset[Any]):
    """Every n-th sample of a stream, beginning with the one of the process's index."""

    def __init__(self, dataset: Any, index: int, n: int) -> None:
        self.dataset, self.index, self.n = dataset, index, n

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.dataset, self.index, None, self.n)


def prepare_loader(
    loader: Any, accelerator: Accelerator, generator: EpochGenerator, even_batches: bool
) -> Any:
    """The data loader for this process, with its order drawn from a generator.

    Args:
        loader: a data loader over the whole data set.
        accelerator: knows processes and device.
        generator: replaces PyTorch's global generator as the source of the order and of the
            workers' seeds.
        even_batches: whether all processes get batches of the same number and size, for which
            some samples are used twice. Otherwise each sample is used exactly once.

    Raises:
        TypeError: there are several processes, and the loader is no PyTorch one.
    """
    owners: list[Any] = [loader, getattr(loader, "sampler", None)]
    owners.append(getattr(loader, "batch_sampler", None))
    owners.append(getattr(owners[-1], "sampler", None))
    for owner in owners:
        given = getattr(owner, "generator", "none to give")
        if given is None or isinstance(given, EpochGenerator):
            owner.generator = generator

    if accelerator.num_processes == 1 and accelerator.device.type == "cpu":
        return loader
    if not isinstance(loader, DataLoader):
        if accelerator.num_processes == 1:
            return loader
        raise TypeError(
            f"the data loader is a {type(loader).__name__}: with several processes it has to be a "
            f"torch.utils.data.DataLoader, so that its batches can be shared among them"
        )
    config = accelerator.dataloader_config
    if isinstance(loader.dataset, IterableDataset) and not even_batches:
        loader = _take_every_nth(loader, accelerator)
        num_processes = 1
    else:
        num_processes = accelerator.num_processes
    return prepare_data_loader(
        loader,
        accelerator.device,
        num_processes=num_processes,
        process_index=accelerator.process_index if num_processes > 1 else 0,
        split_batches=config.split_batches,
        put_on_device=accelerator.device_placement,
        # Otherwise the main process reads all data and sends each batch to the others.
        dispatch_batches=bool(config.dispatch_batches),
        even_batches=even_batches,
        non_blocking=config.non_blocking,
        use_stateful_dataloader=config.use_stateful_dataloader,
    )


def _take_every_nth(loader: DataLoader[Any], accelerator: Accelerator) -> DataLoader[Any]:
    kwargs: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "batch_size",
            "num_workers",
            "collate_fn",
            "pin_memory",
            "drop_last",
            "timeout",
            "worker_init_fn",
            "multiprocessing_context",
            "generator",
            "prefetch_factor",
            "persistent_workers",
        )
    }
    every_nth = _EveryNth(loader.dataset, accelerator.process_index, accelerator.num_processes)
    return DataLoader(every_nth, **kwargs)


class _Rest:
    """What a loader gives after its first batches, which are made and dropped."""

    def __init__(self, loader: Any, skipped: int) -> None:
        self.loader, self.skipped = loader, skipped

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.loader, self.skipped, None)

    def __len__(self) -> int:
        return max(0, len(self.loader) - self.skipped)


def skip_batches(loader: Any, num_batches: int) -> Any:
    """A loader that begins after some batches.

    Args:
        loader: the data loader.
        num_batches: number of its batches to leave out.
    """
    if isinstance(loader, DataLoader):
        return skip_first_batches(loader, num_batches)
    return _Rest(loader, num_batches)


def accumulation_windows(
    loader: Iterable[Any], window_size: int, first_batch: int = 0
) -> Iterator[tuple[int, Any, int, bool]]:
    """Batches, each with the size of the accumulation window that it is part of.

    The last window of an epoch holds what is left. The length of the loader tells where that
    is; without one, a window's batches are collected before the first of them is given.

    Args:
        loader: the data loader, from ``first_batch`` on.
        window_size: batches in a full window.
        first_batch: index of the loader's first batch in its epoch; a window begins there.

    Yields:
        The batch's index, the batch, the size of its window, whether it completes the window.
    """
    remaining = length(loader)
    batches = iter(loader)
    given = 0
    if remaining is None or window_size == 1:
        while window := list(itertools.islice(batches, window_size)):
            for position, batch in enumerate(window, 1):
                yield first_batch + given, batch, len(window), position == len(window)
                given += 1
    else:
        for batch in itertools.islice(batches, remaining):
            start = given - given % window_size
            size = min(window_size, remaining - start)
            yield first_batch + given, batch, size, given + 1 == start + size
            given += 1
    if remaining is not None and given != remaining:
        warnings.warn(
            f"the training data loader gave {given} batches in this epoch, but its length is "
            f"{remaining}: the updates of this run were planned for the latter",
            stacklevel=2,
        )
