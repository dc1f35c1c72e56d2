"""A data loader's batches, shared out among processes, and made by workers that draw alike."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from accelerate.data_loader import (
    BatchSamplerShard,
    DataLoaderShard,
    IterableDatasetShard,
    prepare_data_loader,
)
from accelerate.utils import parse_flag_from_env
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    IterDataPipe,
    get_worker_info,
)

from pytorch_accelerated.run.data import Wrapper, by_rows, owners, rebuilt, tell_epoch_to
from pytorch_accelerated.run.loop_state import EpochGenerator, Randomness, seed_generators
from pytorch_accelerated.run.processes import Processes
from pytorch_accelerated.sharded import is_sharded, reshard, shares


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


# Among processes


def look_for_shards(run: Any) -> None:
    """Note whether the model is sharded, and who gets which data then."""
    model, processes = run.trainer.model, run.processes
    if processes.device.type == "cpu" and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise ValueError(
            "ACCELERATE_USE_FSDP is set, but Accelerate shards nothing on CPU: call "
            "torch.distributed.fsdp.fully_shard(model) before the optimizer is made, and leave "
            "--use_fsdp out"
        )
    run.is_sharded = is_sharded(model)
    if not run.is_sharded:
        return
    reshard(model)
    processes.shares, processes.share = shares(model) or (processes.shares, processes.share)
    if processes.shares < processes.count:
        # Those that compute the same have to draw the same, for data and dropout.
        seed_generators(run.loop.data_seed + processes.share)


def prepare_loader(run: Any, loader: Any, generator: EpochGenerator, even_batches: bool) -> Any:
    """Return the data loader for this process, made of one over the whole data set.

    The generator replaces PyTorch's global one as the source of the order and of the workers'
    seeds. With even batches all processes get batches of the same number and size, for which some
    samples are used twice. Otherwise each sample is used exactly once.
    """
    for owner in owners(loader):
        if getattr(owner, "generator", "none to give") is None:
            generator.lend(owner)

    accelerator, prepared, is_one = run.accelerator, loader, isinstance(loader, DataLoader)
    if run.processes.count > 1 or (is_one and accelerator.device.type != "cpu"):
        prepared = of_this_process(loader, run.processes, generator, even_batches)
    inner = getattr(prepared, "base_dataloader", prepared)
    if type(inner) is DataLoader and inner.num_workers:
        prepared = with_workers(prepared, loader, run.processes, generator, even_batches)
    if not hasattr(prepared, "device"):
        with suppress(AttributeError):  # of a list, say, which takes no attributes
            prepared.device = accelerator.device
    return prepared


def of_this_process(
    loader: Any, processes: Processes, generator: EpochGenerator, even_batches: bool
) -> Any:
    """Return the data loader for this process, with batches on its device."""
    accelerator = processes.accelerator
    if not isinstance(loader, DataLoader):
        raise TypeError(
            f"the data loader is a {type(loader).__name__}: with several processes it has to be a "
            f"torch.utils.data.DataLoader, so that its batches can be shared among them"
        )
    is_alone = processes.shares == 1
    is_stream = isinstance(loader.dataset, IterableDataset)
    gives_samples = loader.batch_sampler is None and not isinstance(loader.sampler, BatchSampler)
    is_shared = is_alone
    if not is_alone:
        loader = _drawn_alike(loader, generator)
        if gives_samples or (is_stream and not even_batches):
            loader, is_shared = _share_samples(loader, processes, even_batches), True
    # Accelerate leaves out a sampler that is not within a batch sampler, or fails at it.
    has_only_sampler = is_shared and loader.batch_sampler is None and not is_stream
    config = accelerator.dataloader_config
    prepared = prepare_data_loader(
        rebuilt(loader, sampler=None) if has_only_sampler else loader,
        accelerator.device,
        num_processes=1 if is_shared else processes.shares,
        process_index=0 if is_shared else processes.share,
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
    samplers = owners(loader)[1:]
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
    loader: DataLoader[Any], processes: Processes, even_batches: bool
) -> DataLoader[Any]:
    """Return a loader of this process's samples: as if each sample were a batch."""
    index, num = processes.share, processes.shares
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


def in_step(run: Any, batches: Iterable[Any], compute: Callable[[Any], Any]) -> Iterator[Any]:
    """Give the batches of an evaluation, of which processes may have different numbers.

    The processes of a sharded model compute each batch together. One that has none left computes
    its last one again for the others, and forgets what came out.
    """
    if not run.is_sharded:
        yield from batches
        return
    processes = run.processes
    batch = nothing = object()
    ends = itertools.chain(batches, itertools.repeat(nothing))
    for number, one in enumerate(ends):
        have_one = processes.sum(torch.tensor(one is not nothing, device=processes.device).int())
        if not have_one:
            return
        if number == 0 and have_one < processes.count:
            raise ValueError(
                "a process has no batch to evaluate, but each of a sharded model needs one: give "
                "more evaluation data, or a smaller batch size"
            )
        if one is not nothing:
            batch = one
            yield batch
            continue
        with torch.no_grad():
            compute(batch)


# By workers: they draw the same for a batch, whichever of them makes it


def with_workers(
    prepared: Any,
    loader: Any,
    processes: Processes,
    generator: EpochGenerator,
    even_batches: bool,
) -> Any:
    """Return a prepared data loader, made of ``loader``, whose workers can be told what to draw."""
    inner = getattr(prepared, "base_dataloader", prepared)
    if even_batches or inner.persistent_workers:
        inner = _with_seeds(by_rows(inner), generator, processes)
    if inner is loader:
        inner = rebuilt(loader)  # the user's own stays as it is
    shared = generator.shared.share_memory_()  # type: ignore[no-untyped-call]
    inner.worker_init_fn = partial(_init_worker, inner.worker_init_fn, shared)
    if not hasattr(prepared, "base_dataloader"):
        return inner
    prepared.base_dataloader = inner
    return prepared


def _with_seeds(
    loader: DataLoader[Any], generator: EpochGenerator, processes: Processes
) -> DataLoader[Any]:
    """Return a loader whose workers draw the same for a batch, whichever makes it and when."""
    # Otherwise what a worker draws would depend on the batches that it made before. Workers of a
    # stream draw the same in an epoch, and need it if they live for several.
    changes: dict[str, Any] = {"generator": generator} if loader.persistent_workers else {}
    if not isinstance(loader.dataset, IterableDataset):
        dataset = _Seeded(loader.dataset, _epoch=None)
        numbered = partial(_numbered, loader, dataset, generator, processes)
        return rebuilt(loader, Batches(indices_of(loader), numbered), dataset=dataset, **changes)
    if not loader.persistent_workers or isinstance(loader.dataset, IterDataPipe):
        return loader  # PyTorch seeds new workers, and data pipes, in every epoch
    first_worker = processes.share * loader.num_workers
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
    processes: Processes,
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
    seed = generator.initial_seed() + processes.share
    for batch in source:
        yield _Batch([batch] if loader.batch_sampler is None else batch, seed, dataset._epoch)
        seed += processes.shares


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


def _init_worker(users: Callable[[int], Any] | None, shared: Tensor, worker_id: int) -> None:
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
