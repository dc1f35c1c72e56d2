"""From data sets to the batches of one process, in an order that can be repeated."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import (
    BatchSamplerShard,
    DataLoaderShard,
    IterableDatasetShard,
    prepare_data_loader,
)
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    TensorDataset,
)

from pytorch_accelerated.checks import kind_of
from pytorch_accelerated.run.in_memory import by_rows
from pytorch_accelerated.run.loop_state import EpochGenerator, Randomness, seed_generators
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.run.workers import (
    Batches,
    Wrapper,
    indices_of,
    init_worker,
    innermost,
    rebuilt,
    tell_epoch_to,
    with_seeds,
)
from pytorch_accelerated.utils import worker_init_fn

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


def batch_size_of(kwargs: Mapping[str, Any], default: int) -> int:
    """Return the batch size that a data loader with these arguments has."""
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
    if not is_one or isinstance(dataset, (DataLoader, str, bytes)):
        raise TypeError(
            f"{name} is {kind_of(dataset)}: give a data set; arguments for its loader "
            f"go into train_dataloader_kwargs and eval_dataloader_kwargs, and a loader of your "
            f"own is what create_train_dataloader and create_eval_dataloader may return"
        )
    check_not_empty(None, dataset, name)


def check_not_empty(loader: Any, dataset: Any, name: str, at_least: int = 1) -> None:
    """Refuse data that no batch can be made of, or too few for ``at_least`` processes.

    Without a loader, look at the data set only.
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


def prepare_loader(
    loader: Any, accelerator: Accelerator, generator: EpochGenerator, even_batches: bool
) -> Any:
    """Return the data loader for this process, made of one over the whole data set.

    The generator replaces PyTorch's global one as the source of the order and of the workers'
    seeds. With even batches all processes get batches of the same number and size, for which some
    samples are used twice. Otherwise each sample is used exactly once.
    """
    for owner in _owners(loader):
        if getattr(owner, "generator", "none to give") is None:
            generator.lend(owner)

    prepared = _of_this_process(loader, accelerator, generator, even_batches)
    inner = getattr(prepared, "base_dataloader", prepared)
    if type(inner) is DataLoader and inner.num_workers:
        if even_batches or inner.persistent_workers:
            inner = with_seeds(by_rows(inner), generator, accelerator)
        if inner is loader:
            inner = rebuilt(loader)  # the user's own stays as it is
        shared = generator.shared.share_memory_()  # type: ignore[no-untyped-call]
        inner.worker_init_fn = partial(init_worker, inner.worker_init_fn, shared)
        if hasattr(prepared, "base_dataloader"):
            prepared.base_dataloader = inner
        else:
            prepared = inner
    if not hasattr(prepared, "device"):
        with suppress(AttributeError):  # of a list, say, which takes no attributes
            prepared.device = accelerator.device
    return prepared


def _of_this_process(
    loader: Any, accelerator: Accelerator, generator: EpochGenerator, even_batches: bool
) -> Any:
    """Return the data loader for this process, with batches on its device."""
    is_alone = accelerator.num_processes == 1
    if is_alone and (accelerator.device.type == "cpu" or not isinstance(loader, DataLoader)):
        return loader
    if not isinstance(loader, DataLoader):
        raise TypeError(
            f"the data loader is a {type(loader).__name__}: with several processes it has to be a "
            f"torch.utils.data.DataLoader, so that its batches can be shared among them"
        )
    is_stream = isinstance(loader.dataset, IterableDataset)
    gives_samples = loader.batch_sampler is None and not isinstance(loader.sampler, BatchSampler)
    is_shared = is_alone
    if not is_alone:
        loader = _drawn_alike(loader, generator)
        if gives_samples or (is_stream and not even_batches):
            loader, is_shared = _share_samples(loader, accelerator, even_batches), True
    # Accelerate leaves out a sampler that is not within a batch sampler, or fails at it.
    has_only_sampler = is_shared and loader.batch_sampler is None and not is_stream
    config = accelerator.dataloader_config
    prepared = prepare_data_loader(
        rebuilt(loader, sampler=None) if has_only_sampler else loader,
        accelerator.device,
        num_processes=1 if is_shared else accelerator.num_processes,
        process_index=0 if is_shared else accelerator.process_index,
        split_batches=config.split_batches and not is_shared,
        put_on_device=accelerator.device_placement,
        # Otherwise the main process reads all data and sends each batch to the others.
        dispatch_batches=bool(config.dispatch_batches) and not is_shared,
        even_batches=even_batches,
        non_blocking=config.non_blocking,
        use_stateful_dataloader=config.use_stateful_dataloader,
    )
    if has_only_sampler:
        prepared.base_dataloader = loader
    if even_batches and accelerator.device.type == "cpu" and type(prepared) is DataLoaderShard:
        # Nothing has to be moved, and Accelerate's loader reads a batch ahead: what a data set
        # draws for that one would be drawn again when a run is resumed.
        return prepared.base_dataloader
    return prepared


def _drawn_alike(loader: DataLoader[Any], generator: EpochGenerator) -> DataLoader[Any]:
    """Return a loader whose samplers give the same order on every process, which share it out."""
    samplers = _owners(loader)[1:]
    for sampler in samplers:
        if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
            raise ValueError(
                "a sampler is a DistributedSampler, which gives each process a share of the data: "
                "the Trainer shares the batches itself, so leave the sampler out (training data "
                "is shuffled by default) or give one that goes through all data"
            )
    is_known = all(type(one).__module__.startswith("torch.utils.data") for one in samplers)
    if is_known or type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return loader
    return rebuilt(loader, Batches(indices_of(loader), partial(_in_own_state, generator)))


def _in_own_state(generator: EpochGenerator, source: Any) -> Iterator[Any]:
    """Go through indices; while they are drawn, the global generators are as the seed says."""
    random = Randomness(torch.device("cpu"))
    with random.kept():
        seed_generators(generator.initial_seed())
        own = random.now()
    indices: Iterator[Any] | None = None
    drawn: list[Any] = []
    while indices is None or drawn:
        yield from drawn
        with random.kept():
            random.put(own)
            indices = iter(source) if indices is None else indices
            drawn = list(itertools.islice(indices, 1))
            own = random.now()


def _share_samples(
    loader: DataLoader[Any], accelerator: Accelerator, even_batches: bool
) -> DataLoader[Any]:
    """Return a loader of this process's samples: as if each sample were a batch."""
    index, num = accelerator.process_index, accelerator.num_processes
    if not isinstance(loader.dataset, IterableDataset):
        ones = BatchSampler(loader.sampler, 1, drop_last=False)
        shard = BatchSamplerShard(ones, num, index, even_batches=even_batches)
        return rebuilt(loader, Batches(shard, itertools.chain.from_iterable))
    if even_batches:
        stream = IterableDatasetShard(loader.dataset, num_processes=num, process_index=index)
        return rebuilt(loader, dataset=stream)
    return rebuilt(loader, dataset=_EveryNth(loader.dataset, _start=index, _step=num))


class _EveryNth(Wrapper, IterableDataset[Any]):
    """Every n-th sample of a stream, beginning with the one of the process's index."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._wrapped, self._start, None, self._step)


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
    found = (getattr(owner, "generator", None) for owner in _owners(loader))
    own = {
        id(one): one
        for one in found
        if isinstance(one, torch.Generator) and not isinstance(one, EpochGenerator)
    }
    return list(own.values())


def _owners(loader: Any) -> list[Any]:
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


def tell_epoch(loader: Any, epoch: int) -> None:
    """Tell samplers and data sets that depend on the epoch which one is next."""
    if hasattr(loader, "iteration"):
        loader.iteration = epoch  # Accelerate's loaders tell it
    for one in (*_owners(loader)[1:], getattr(loader, "dataset", None)):
        tell_epoch_to(one, epoch)


def accumulation_windows(
    loader: Iterable[Any], remaining: int | None, window_size: int, first_batch: int = 0
) -> Iterator[tuple[int, Any, int, bool]]:
    """Yield batches: the index, the batch, the size of its window, whether it completes it.

    A window holds the batches of one update, and the last window of an epoch what is left. Where
    that is, the number of remaining batches tells; if it is not known, a window's batches are
    collected before the first of them is given. The loader begins with the epoch's batch of index
    ``first_batch``, where a window begins.
    """
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
        num_dropped = given % window_size
        warn(
            f"the training data loader gave {given} batches in this epoch, but its length is "
            f"{remaining}: the updates of this run were planned for the latter"
            + (f", and the last {num_dropped} batches make no update" if num_dropped else ""),
        )
