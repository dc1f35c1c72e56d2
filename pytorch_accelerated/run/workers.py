"""What the workers of a data loader draw: the same for a batch, whichever of them makes it."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import IterableDatasetShard
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    IterDataPipe,
    Subset,
    get_worker_info,
)

from pytorch_accelerated.run.loop_state import EpochGenerator, seed_generators


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


class Batches(BatchSampler):
    """A source of indices whose iterator is made by a function, in all else like the source."""

    def __init__(self, source: Any, iterate: Callable[[Any], Iterator[Any]]) -> None:
        self.batch_sampler, self._iterate = source, iterate
        for name, default in {"sampler": None, "batch_size": None, "drop_last": False}.items():
            setattr(self, name, getattr(source, name, default))

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(self.batch_sampler)

    def __len__(self) -> int:
        return len(self.batch_sampler)


def indices_of(loader: DataLoader[Any]) -> Any:
    """Return what gives a loader of a map-style data set its batches', or samples', indices."""
    return loader.sampler if loader.batch_sampler is None else loader.batch_sampler


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


def innermost(dataset: Any) -> Any:
    """Return the data set that subsets are taken of, if they are but that."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset


def tell_epoch_to(dataset: Any, epoch: int) -> None:
    """Tell a data set that depends on the epoch, or those it is joined of, which one is next."""
    dataset = innermost(dataset)
    if callable(getattr(dataset, "set_epoch", None)):
        dataset.set_epoch(epoch)
    elif isinstance(dataset, ConcatDataset | ChainDataset):
        for part in dataset.datasets:
            tell_epoch_to(part, epoch)


def with_seeds(
    loader: DataLoader[Any], generator: EpochGenerator, accelerator: Accelerator
) -> DataLoader[Any]:
    """Return a loader whose workers draw the same for a batch, whichever makes it and when."""
    # Otherwise what a worker draws would depend on the batches that it made before. Workers of a
    # stream draw the same in an epoch, and need it if they live for several.
    changes: dict[str, Any] = {"generator": generator} if loader.persistent_workers else {}
    if not isinstance(loader.dataset, IterableDataset):
        dataset = _Seeded(loader.dataset, _epoch=None)
        numbered = partial(_numbered, loader, dataset, generator, accelerator)
        return rebuilt(loader, Batches(indices_of(loader), numbered), dataset=dataset, **changes)
    if not loader.persistent_workers or isinstance(loader.dataset, IterDataPipe):
        return loader  # PyTorch seeds new workers, and data pipes, in every epoch
    first_worker = accelerator.process_index * loader.num_workers
    stream = _SeededStream(loader.dataset, _shared=generator.shared, _first_worker=first_worker)
    return rebuilt(loader, dataset=stream, **changes)


class _Batch(list[Any]):
    """The indices of a batch, its epoch, and the seed of all that its samples draw in a worker."""

    def __init__(self, indices: Iterable[Any], seed: int, epoch: int | None) -> None:
        super().__init__(indices)
        self.seed, self.epoch = seed, epoch


def _numbered(
    loader: DataLoader[Any],
    dataset: _Seeded,
    generator: EpochGenerator,
    accelerator: Accelerator,
    source: Any,
) -> Iterator[_Batch]:
    """Give the batches of a loader a seed, another one in each place, epoch and process."""
    # PyTorch draws a seed for new workers from the generator of the order. The order of each epoch
    # has to be that of a run with new workers, so for those that outlive it, it is drawn here.
    order = loader.generator
    if loader.persistent_workers and order is not None:
        if isinstance(order, EpochGenerator):
            order.manual_seed(order.initial_seed())  # for workers that were new indeed
        torch.empty((), dtype=torch.int64).random_(generator=order)
    seed = generator.initial_seed() + accelerator.process_index
    for batch in source:
        yield _Batch([batch] if loader.batch_sampler is None else batch, seed, dataset._epoch)
        seed += accelerator.num_processes


class _Told(Wrapper):
    """A data set that passes on which epoch is next, if the user's wants to know."""

    def __len__(self) -> int:
        return len(self._wrapped)

    def set_epoch(self, epoch: int) -> None:
        vars(self)["_epoch"] = epoch
        tell_epoch_to(self._wrapped, epoch)


class _Seeded(_Told, Dataset[Any]):
    """A data set that seeds a worker's generators for each batch."""

    def __getitems__(self, batch: Any) -> list[Any]:
        batch = self._take_seed(batch)
        get_many = getattr(self._wrapped, "__getitems__", None)
        return get_many(batch) if get_many else [self._wrapped[index] for index in batch]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, _Batch):
            (index,) = self._take_seed(index)
        return self._wrapped[index]

    def _take_seed(self, batch: Any) -> Any:
        if isinstance(batch, _Batch) and get_worker_info() is not None:
            seed_generators(batch.seed)
            if batch.epoch not in (None, self._epoch):  # in a worker that outlives an epoch
                self.set_epoch(batch.epoch)
        return list(batch)


class _SeededStream(_Told, IterableDataset[Any]):
    """A stream that seeds a worker's generators whenever it is read from its beginning."""

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        if worker is not None:
            seed, epoch, _ = self._shared.tolist()
            seed_generators(seed + self._first_worker + worker.id)
            super().set_epoch(epoch)
        return iter(self._wrapped)

    def set_epoch(self, epoch: int) -> None:
        self._shared[1] = epoch
        super().set_epoch(epoch)


def init_worker(users: Callable[[int], Any] | None, shared: Tensor, worker_id: int) -> None:
    """Initialise a worker that is to know the user's data set, not what was put around it.

    A signal to all processes, as schedulers of clusters send it, must not end it before the main
    process has saved. When the run is over, it is PyTorch that ends a worker so.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0) if shared[2] else None)
    worker = get_worker_info()
    assert worker is not None
    dataset: Any = worker.dataset
    while isinstance(dataset, (Wrapper, IterableDatasetShard)):
        dataset = dataset._wrapped if isinstance(dataset, Wrapper) else dataset.dataset
    object.__setattr__(worker, "dataset", dataset)  # an ordinary assignment is refused
    if users is not None:
        users(worker_id)
