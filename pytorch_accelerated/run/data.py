"""From data sets to the batches of one process, in an order that can be repeated."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    Dataset,
    DistributedSampler,
    IterableDataset,
    IterDataPipe,
    Subset,
    TensorDataset,
    get_worker_info,
)

from pytorch_accelerated.run.loop_state import OwnRandomness, seed_generators
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.utils import worker_init_fn

MAX_DEFAULT_WORKERS = 4


class EpochGenerator(torch.Generator):
    """A generator that the Trainer seeds anew for every epoch; a user's own is never touched."""

    def __init__(self) -> None:
        super().__init__()
        self._borrowers: list[Any] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return EpochGenerator, ()  # PyTorch's own would make a plain generator of a copy

    def lend(self, owner: Any) -> None:
        """Have a loader or sampler draw from this generator for now.

        Args:
            owner: What has no generator of its own.
        """
        self._borrowers.append(owner)
        owner.generator = self

    def take_back(self) -> None:
        """Leave loaders and samplers without a generator again."""
        while self._borrowers:
            self._borrowers.pop().generator = None


def default_num_workers(dataset: Any) -> int:
    """Worker processes for a data set if the user says nothing.

    None on CPU, where workers would compete with training, nor for tensors in memory, where they
    would only copy. Otherwise a few for each process.

    Args:
        dataset: The data set.
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    if not torch.cuda.is_available() or isinstance(dataset, TensorDataset):
        return 0
    cpus_per_process = (os.cpu_count() or 1) // torch.cuda.device_count()
    return max(1, min(MAX_DEFAULT_WORKERS, cpus_per_process))


def default_loader_kwargs(dataset: Any, batch_size: int, shuffle: bool) -> dict[str, Any]:
    """Return the arguments of a data loader if the user says nothing."""
    return {
        "shuffle": shuffle,
        "pin_memory": torch.cuda.is_available(),
        "batch_size": batch_size,
        "num_workers": default_num_workers(dataset),
        "worker_init_fn": worker_init_fn,
    }


def merge_loader_kwargs(
    defaults: Mapping[str, Any], kwargs: Mapping[str, Any] | None, dataset: Any
) -> dict[str, Any]:
    """Arguments for a data loader: the user's, and of the defaults what goes with them.

    Args:
        defaults: The defaults.
        kwargs: The user's.
        dataset: The data set.
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
        kwargs: Arguments of the data loader.
        default: The size if they do not tell.
    """
    if kwargs.get("batch_sampler") is not None:
        return getattr(kwargs["batch_sampler"], "batch_size", default)
    return kwargs.get("batch_size") or default


def length(loader: Any) -> int | None:
    """Number of batches in a data loader, ``None`` if it does not know.

    Args:
        loader: The data loader.
    """
    try:
        return len(loader)
    except TypeError:
        return None


def check_is_data(dataset: Any, name: str) -> None:
    """Refuse what no data loader can be made of, or another one's data."""
    is_one = any(hasattr(type(dataset), method) for method in ("__getitem__", "__iter__"))
    if not is_one or isinstance(dataset, (DataLoader, str, bytes)):
        raise TypeError(
            f"{name} is a {type(dataset).__name__}: give a data set; arguments for its loader "
            f"go into train_dataloader_kwargs and eval_dataloader_kwargs, and a loader of your "
            f"own is what create_train_dataloader and create_eval_dataloader may return"
        )
    check_not_empty(None, dataset, name)


def check_not_empty(loader: Any, dataset: Any, name: str, at_least: int = 1) -> None:
    """Refuse data that no batch can be made of.

    Args:
        loader: The data loader, or ``None`` to look at the data set only.
        dataset: Its data set.
        name: Name of the data set's argument.
        at_least: Number of samples that are needed.

    Raises:
        ValueError: The data set or the loader is empty, or has too few samples.
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


class _Wrapper:
    """Put around the user's data set, which has all attributes that it is asked for or given."""

    def __init__(self, dataset: Any) -> None:
        vars(self)["_wrapped"] = dataset

    def __getattr__(self, name: str) -> Any:
        # While being copied or unpickled there is no data set yet.
        if name == "_wrapped" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._wrapped, name, value)


class _EveryNth(_Wrapper, IterableDataset[Any]):
    """Every n-th sample of a stream, beginning with the one of the process's index."""

    def __init__(self, dataset: Any, index: int, n: int) -> None:
        super().__init__(dataset)
        vars(self)["_start_and_step"] = index, n

    def __iter__(self) -> Iterator[Any]:
        start, step = self._start_and_step
        return itertools.islice(self._wrapped, start, None, step)


class _InitWorker:
    """Initialises a worker that is to know the user's data set, not what was put around it."""

    def __init__(self, users: Callable[[int], Any] | None) -> None:
        self.users = users

    def __call__(self, worker_id: int) -> None:
        worker = get_worker_info()
        assert worker is not None
        dataset: Any = worker.dataset
        while isinstance(dataset, (_Wrapper, IterableDatasetShard)):
            dataset = dataset._wrapped if isinstance(dataset, _Wrapper) else dataset.dataset
        object.__setattr__(worker, "dataset", dataset)  # an ordinary assignment is refused
        if self.users is not None:
            self.users(worker_id)


def prepare_loader(
    loader: Any, accelerator: Accelerator, generator: EpochGenerator, even_batches: bool
) -> Any:
    """The data loader for this process, with its order drawn from a generator.

    Args:
        loader: A data loader over the whole data set.
        accelerator: Knows processes and device.
        generator: Replaces PyTorch's global generator as the source of the order and of the
            workers' seeds.
        even_batches: Whether all processes get batches of the same number and size, for which
            some samples are used twice. Otherwise each sample is used exactly once.

    Raises:
        TypeError: There are several processes, and the loader is no PyTorch one.
        ValueError: There are several processes, and a sampler takes the share of one.
    """
    for owner in _owners(loader):
        if getattr(owner, "generator", "none to give") is None:
            generator.lend(owner)

    if accelerator.num_processes > 1 and isinstance(loader, DataLoader):
        loader = _drawn_alike(loader, generator)
    prepared = _of_this_process(loader, accelerator, even_batches)
    inner = getattr(prepared, "base_dataloader", prepared)
    if type(inner) is not DataLoader or not inner.num_workers:
        return prepared
    if even_batches or inner.persistent_workers:
        inner = _with_seeds_for_workers(inner, generator, accelerator)
    if inner.dataset is not loader.dataset:
        inner.worker_init_fn = _InitWorker(inner.worker_init_fn)
    if not hasattr(prepared, "base_dataloader"):
        return inner
    prepared.base_dataloader = inner
    return prepared


def _of_this_process(loader: Any, accelerator: Accelerator, even_batches: bool) -> Any:
    """The data loader for this process, with batches on its device."""
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
    is_batched = loader.batch_sampler is not None or isinstance(loader.sampler, BatchSampler)
    is_shared = accelerator.num_processes == 1
    if not is_shared and isinstance(loader.dataset, IterableDataset) and not even_batches:
        loader, is_shared = _take_every_nth(loader, accelerator), True
    elif not is_shared and not is_batched:
        loader, is_shared = _share_samples(loader, accelerator, even_batches), True
    prepared = prepare_data_loader(
        loader,
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
    if not is_batched and not isinstance(loader.dataset, IterableDataset):
        # Accelerate knows samplers within batch samplers only, and has left this one out.
        prepared.base_dataloader = loader
    if even_batches and accelerator.device.type == "cpu" and type(prepared) is DataLoaderShard:
        # Nothing has to be moved, and Accelerate's loader reads a batch ahead: what a data set
        # draws for that one would be drawn again when a run is resumed.
        return prepared.base_dataloader
    return prepared


def _drawn_alike(loader: DataLoader[Any], generator: EpochGenerator) -> DataLoader[Any]:
    """A loader whose samplers give the same order on every process, for these share it out."""
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
    if loader.batch_sampler is not None:
        return _rebuilt(loader, batch_sampler=_DrawnAlike(loader.batch_sampler, generator))
    if isinstance(loader.sampler, BatchSampler):
        return _rebuilt(loader, sampler=_DrawnAlike(loader.sampler, generator), batch_size=None)
    ones = BatchSampler(loader.sampler, 1, drop_last=False)
    return _rebuilt(loader, sampler=_Unpacked(_DrawnAlike(ones, generator)), batch_size=None)


class _DrawnAlike(BatchSampler):
    """A batch sampler that may draw from the global generators, which differ between processes."""

    def __init__(self, batch_sampler: Any, generator: EpochGenerator) -> None:
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.sampler = getattr(batch_sampler, "sampler", None)  # type: ignore[assignment]
        self.batch_size = getattr(batch_sampler, "batch_size", None)  # type: ignore[assignment]
        self.drop_last = getattr(batch_sampler, "drop_last", False)

    def __iter__(self) -> Iterator[Any]:
        state = OwnRandomness(self.generator.initial_seed())
        with state:
            batches = iter(self.batch_sampler)
        while True:
            with state:
                batch = list(itertools.islice(batches, 1))
            if not batch:
                return
            yield batch[0]

    def __len__(self) -> int:
        return len(self.batch_sampler)


class _Batch(list[Any]):
    """The indices of a batch, and the seed of all that its samples draw in a worker."""

    def __init__(self, indices: Iterable[Any], seed: int) -> None:
        super().__init__(indices)
        self.seed = seed


class _Numbered:
    """A batch sampler whose batches have a seed, another one in each place, epoch and process.

    Without batches it is a sampler, whose samples are taken for batches of one.
    """

    def __init__(
        self, loader: DataLoader[Any], generator: EpochGenerator, accelerator: Accelerator
    ) -> None:
        self.is_batched = loader.batch_sampler is not None
        self.batch_sampler: Any = loader.batch_sampler if self.is_batched else loader.sampler
        self.generator = generator
        self.batch_size = getattr(self.batch_sampler, "batch_size", None)
        self.drop_last = getattr(self.batch_sampler, "drop_last", False)
        self.sampler = getattr(self.batch_sampler, "sampler", None)
        self._first, self._step = accelerator.process_index, accelerator.num_processes
        self._draws_for_workers = loader.generator if loader.persistent_workers else None

    def __iter__(self) -> Iterator[_Batch]:
        if self._draws_for_workers is not None:
            self._draw_for_workers(self._draws_for_workers)
        seed = self.generator.initial_seed() + self._first
        for batch in self.batch_sampler:
            yield _Batch(batch if self.is_batched else [batch], seed)
            seed += self._step

    def _draw_for_workers(self, generator: torch.Generator) -> None:
        """Draw the seed that new workers would get.

        PyTorch draws it from the generator of the order, once for workers that outlive an epoch.
        The order of each epoch has to be that of a run which begins there with new workers.
        """
        if isinstance(generator, EpochGenerator):
            generator.manual_seed(generator.initial_seed())  # for workers that were new indeed
        torch.empty((), dtype=torch.int64).random_(generator=generator)

    def __len__(self) -> int:
        return len(self.batch_sampler)


class _Seeded(_Wrapper, Dataset[Any]):
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
        return list(batch)

    def __len__(self) -> int:
        return len(self._wrapped)


class _SeededStream(_Wrapper, IterableDataset[Any]):
    """A stream that seeds a worker's generators whenever it is read from its beginning."""

    def __init__(self, dataset: Any, first_worker: int) -> None:
        super().__init__(dataset)
        # Workers are given the data set once, but have to know the seed and number of every epoch.
        shared = torch.zeros(2, dtype=torch.int64)
        vars(self)["_shared"] = shared.share_memory_()  # type: ignore[no-untyped-call]
        vars(self)["_first_worker"] = first_worker

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        if worker is not None:
            seed, epoch = self._shared.tolist()
            seed_generators(seed + self._first_worker + worker.id)
            self._tell_epoch(epoch)
        return iter(self._wrapped)

    def set_epoch(self, epoch: int) -> None:
        self._shared[1] = epoch
        self._tell_epoch(epoch)

    def _tell_epoch(self, epoch: int) -> None:
        if callable(getattr(self._wrapped, "set_epoch", None)):
            self._wrapped.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._wrapped)


class _StreamLoader(DataLoader[Any]):
    """Tells its workers the seed of each epoch."""

    def __iter__(self) -> Any:
        dataset: Any = self.dataset
        dataset._shared[0] = self.generator.initial_seed()
        return super().__iter__()


def _with_seeds_for_workers(
    loader: DataLoader[Any], generator: EpochGenerator, accelerator: Accelerator
) -> DataLoader[Any]:
    """A loader whose workers draw the same for a batch, whichever of them makes it and when.

    Otherwise what a worker draws would depend on the batches that it made before, and a run that
    goes on within an epoch would see other augmentations. Workers of a stream draw the same in
    an epoch, and need it if they live for several.
    """
    changes: dict[str, Any] = {"generator": generator} if loader.persistent_workers else {}
    if not isinstance(loader.dataset, IterableDataset):
        numbered = _Numbered(loader, generator, accelerator)
        if numbered.is_batched:
            changes |= {"batch_sampler": numbered}
        else:
            changes |= {"sampler": numbered, "batch_size": None}
        return _rebuilt(loader, dataset=_Seeded(loader.dataset), **changes)
    if not loader.persistent_workers or isinstance(loader.dataset, IterDataPipe):
        return loader  # PyTorch seeds new workers, and data pipes, in every epoch
    first_worker = accelerator.process_index * loader.num_workers
    return _rebuilt(
        loader,
        _StreamLoader,
        dataset=_SeededStream(loader.dataset, first_worker),
        batch_size=loader.batch_size,
        drop_last=loader.drop_last,
        **changes,
    )


def _take_every_nth(loader: DataLoader[Any], accelerator: Accelerator) -> DataLoader[Any]:
    every_nth = _EveryNth(loader.dataset, accelerator.process_index, accelerator.num_processes)
    return _rebuilt(
        loader, dataset=every_nth, batch_size=loader.batch_size, drop_last=loader.drop_last
    )


def _share_samples(
    loader: DataLoader[Any], accelerator: Accelerator, even_batches: bool
) -> DataLoader[Any]:
    """For a loader without batches: as if each sample were a batch."""
    processes = {
        "num_processes": accelerator.num_processes,
        "process_index": accelerator.process_index,
    }
    if isinstance(loader.dataset, IterableDataset):
        stream = IterableDatasetShard(loader.dataset, **processes)
        return _rebuilt(loader, dataset=stream, batch_size=None)
    shard = BatchSamplerShard(
        BatchSampler(loader.sampler, 1, drop_last=False), even_batches=even_batches, **processes
    )
    return _rebuilt(loader, sampler=_Unpacked(shard), batch_size=None)


class _Unpacked:
    """A sampler that takes its samples from batches of one."""

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler

    def __iter__(self) -> Iterator[Any]:
        return (index for (index,) in self.batch_sampler)

    def __len__(self) -> int:
        return len(self.batch_sampler)


def _rebuilt(
    loader: DataLoader[Any], kind: type[DataLoader[Any]] = DataLoader, **changes: Any
) -> DataLoader[Any]:
    kept = {
        name: getattr(loader, name)
        for name in (
            "dataset",
            "num_workers",
            "collate_fn",
            "pin_memory",
            "timeout",
            "worker_init_fn",
            "multiprocessing_context",
            "generator",
            "prefetch_factor",
            "persistent_workers",
        )
    }
    return kind(**{**kept, **changes})


class _Left:
    """What is left of a loader's batches, as an iterator that stands there already."""

    def __init__(self, batches: Iterator[Any], num_left: int | None) -> None:
        self._batches, self._num_left = batches, num_left

    def __iter__(self) -> Iterator[Any]:
        return self._batches

    def __len__(self) -> int:
        if self._num_left is None:
            raise TypeError("the data has no length")
        return self._num_left


def batches_after(loader: Any, num_batches: int) -> _Left:
    """The batches of a new epoch after the first ones.

    Samples of the first ones are not read if the loader tells which they are. All that it draws
    from random generators for them is drawn at once.

    Args:
        loader: The data loader.
        num_batches: How many batches to leave out.
    """
    total = length(loader)
    num_left = None if total is None else max(0, total - num_batches)
    batch_sampler = getattr(loader, "batch_sampler", None)
    if isinstance(getattr(loader, "dataset", None), IterableDataset):
        batch_sampler = None  # what it has makes no difference to a stream
    if type(loader) is DataLoader and batch_sampler is not None:
        after = _After(batch_sampler, num_batches)
        batches = iter(_rebuilt(loader, batch_sampler=after))
        after.skip()
        return _Left(batches, num_left)
    if isinstance(loader, DataLoader) and batch_sampler is not None:
        return _Left(iter(skip_first_batches(loader, num_batches)), num_left)
    batches = iter(loader)
    next(itertools.islice(batches, num_batches, num_batches), None)
    return _Left(batches, num_left)


class _After:
    """A batch sampler without its first batches."""

    def __init__(self, batch_sampler: Any, num_batches: int) -> None:
        self.batch_sampler, self.num_batches = batch_sampler, num_batches
        self._batches: Iterator[Any] = iter(())
        self._num_to_skip = 0

    def __iter__(self) -> Iterator[Any]:
        self._batches, self._num_to_skip = iter(self.batch_sampler), self.num_batches
        return self

    def __next__(self) -> Any:
        self.skip()
        return next(self._batches)

    def skip(self) -> None:
        """Draw the first batches, unless that is done.

        It comes after the loader has drawn the seed of its workers, as in a whole epoch.
        """
        num, self._num_to_skip = self._num_to_skip, 0
        next(itertools.islice(self._batches, num, num), None)

    def __len__(self) -> int:
        return max(0, len(self.batch_sampler) - self.num_batches)


def own_generators(loader: Any) -> list[torch.Generator]:
    """The generators of the user's own that a data loader draws from.

    Args:
        loader: The data loader, as the user has made it.
    """
    found: list[torch.Generator] = []
    for owner in _owners(loader):
        given = getattr(owner, "generator", None)
        if isinstance(given, torch.Generator) and not isinstance(given, EpochGenerator):
            found += [given] if all(given is not other for other in found) else []
    return found


def _owners(loader: Any) -> list[Any]:
    """A data loader and its samplers, also those within others: they may draw random numbers."""
    owners = [loader]
    for owner in owners:  # which grows
        for name in ("sampler", "batch_sampler"):
            inner = getattr(owner, name, None)
            if inner is not None and all(inner is not one for one in owners):
                owners.append(inner)
    return owners


def tell_epoch(loader: Any, epoch: int) -> None:
    """Tell samplers and streams that order the data by the epoch which one is next.

    Args:
        loader: The data loader.
        epoch: Epochs done.
    """
    if hasattr(loader, "iteration"):
        loader.iteration = epoch  # Accelerate's loaders tell it
    dataset = getattr(loader, "dataset", None)
    streams = [dataset] if isinstance(dataset, IterableDataset) else []
    for owner in _owners(loader)[1:] + streams:
        if callable(getattr(owner, "set_epoch", None)):
            owner.set_epoch(epoch)


def accumulation_windows(
    loader: Iterable[Any], window_size: int, first_batch: int = 0
) -> Iterator[tuple[int, Any, int, bool]]:
    """Batches, each with the size of the accumulation window that it is part of.

    The last window of an epoch holds what is left. The length of the loader tells where that
    is; without one, a window's batches are collected before the first of them is given.

    Args:
        loader: The data loader, from ``first_batch`` on.
        window_size: Batches in a full window.
        first_batch: Index of the loader's first batch in its epoch; a window begins there.

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
        num_dropped = given % window_size
        warn(
            f"the training data loader gave {given} batches in this epoch, but its length is "
            f"{remaining}: the updates of this run were planned for the latter"
            + (f", and the last {num_dropped} batches make no update" if num_dropped else ""),
        )
