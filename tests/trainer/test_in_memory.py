"""Tensors in memory give a batch by one index for each: the very batch that PyTorch stacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)

from pytorch_accelerated.callbacks import LimitBatchesCallback, TrainerCallback
from pytorch_accelerated.run.data import by_rows
from pytorch_accelerated.trainer import Trainer
from pytorch_accelerated.utils import DataLoaderSlice
from tests.checkpoints.runs import DieAt, Interrupted
from tests.trainer.tiny import make_trainer

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint64),
    *(torch.bool, torch.complex64),
]


class Sampled(TensorDataset):
    """The same samples, but of a class that may do what it likes: fetched one by one."""


def random_tensors(dtype: torch.dtype) -> list[torch.Tensor]:
    """Return 9 rows of several shapes, in several layouts, with any bits."""
    torch.manual_seed(0)
    words = torch.randint(256, (9, 4, 3, 2, 16), dtype=torch.uint8)
    full = words % 2 == 0 if dtype is torch.bool else words.view(dtype)
    return [
        full[:, 0, 0, 0, 0],
        full[:, :, :, 0, 0],
        full[:, :, :, 0, 0].transpose(1, 2).contiguous().transpose(1, 2),
        full[:, :, :, :, 0].contiguous(memory_format=torch.channels_last),
        full[:1, :, 0, 0, 0].expand(9, 4),
        full[:, :0, 0, 0, 0],
    ]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def assert_same(batches: list, others: list) -> None:
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert type(batch) is type(other)
        for one, another in zip(batch, other, strict=True):
            assert (one.dtype, one.shape) == (another.dtype, another.shape)
            assert one.stride() == another.stride()
            assert one.untyped_storage().nbytes() == another.untyped_storage().nbytes()
            assert bits(one) == bits(another)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_batches_are_those_that_samples_are_stacked_to(dtype):
    data = TensorDataset(*random_tensors(dtype))
    before = [bits(tensor) for tensor in data.tensors]
    for dataset in (data, Subset(Subset(data, range(8, 0, -1)), [0, 7, 0, 3, 5])):
        loader = DataLoader(dataset, batch_size=2)
        batches = list(by_rows(loader))
        assert_same(batches, list(loader))
        for batch in batches:
            for tensor in batch:
                tensor.zero_()
        assert [bits(tensor) for tensor in data.tensors] == before


INDICES = {
    "a list": [3, 0, 0, -1],
    "NumPy's": np.array([3, 0, 0, -1]),
    "small ones": np.array([3, 0, 0, 2], dtype=np.uint8),
    "a tensor": torch.tensor([3, 0, 0, 1]),
}


@pytest.mark.parametrize("indices", INDICES.values(), ids=INDICES)
def test_indices_may_be_whole_numbers_of_any_kind(indices):
    data = TensorDataset(torch.arange(8.0), torch.arange(8).reshape(8, 1))
    for loader in (
        DataLoader(Subset(data, indices), batch_size=3),
        DataLoader(data, batch_size=3, sampler=indices),
        DataLoader(data, batch_sampler=[indices, tuple(indices)]),
    ):
        assert by_rows(loader) is not loader
        assert_same(list(by_rows(loader)), list(loader))


ELSE = [
    [slice(0, 4), slice(4, 8)],
    [[0, 1], [2, 3]],
    list(torch.tensor([[3], [4]])),
    list(torch.tensor([True, True])),  # adds a dimension, as in NumPy
    list(torch.tensor([1, 1], dtype=torch.uint8)),  # another way to write that
]


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8:UserWarning")
@pytest.mark.parametrize("batch", ELSE, ids=str)
def test_what_a_sampler_gives_else_means_what_it_always_did(batch):
    loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_sampler=[batch])
    assert_same(list(by_rows(loader)), list(loader))


MASK = list(torch.tensor([True, False, True]))


@pytest.mark.parametrize("batch", [[8], [True, 1], [1, True], [], [0.5], [2**63], MASK], ids=str)
def test_errors_are_those_of_samples(batch):
    loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_sampler=[batch])
    with pytest.raises((IndexError, RuntimeError, ValueError)) as expected:
        list(loader)
    with pytest.raises(expected.type) as found:
        list(by_rows(loader))
    assert str(found.value) == str(expected.value)


class OwnSubset(Subset):
    pass


class OwnLoader(DataLoader):
    pass


DATA = TensorDataset(torch.arange(8.0))
OTHERS = {
    "a collate function": DataLoader(DATA, batch_size=2, collate_fn=lambda samples: samples),
    "samples alone": DataLoader(DATA, batch_size=None),
    "a data set of one's own": DataLoader(Sampled(torch.arange(8.0)), batch_size=2),
    "a subset of one's own kind": DataLoader(OwnSubset(DATA, range(8)), batch_size=2),
    "a loader of one's own": OwnLoader(DATA, batch_size=2),
    "what is learned": DataLoader(TensorDataset(torch.ones(8, requires_grad=True)), batch_size=2),
    "a parameter": DataLoader(TensorDataset(torch.nn.Parameter(torch.ones(8), False))),
    "a conjugate": DataLoader(TensorDataset(torch.ones(8, dtype=torch.cfloat).conj())),
    "a list": [1, 2, 3],
}


@pytest.mark.parametrize("loader", OTHERS.values(), ids=OTHERS)
def test_all_else_is_left_alone(loader):
    assert by_rows(loader) is loader
    part = DataLoaderSlice(loader, 2)
    assert by_rows(part) is part


def test_within_a_slice_and_a_loader_of_accelerate():
    data = TensorDataset(torch.arange(8.0))
    loader = DataLoader(data, batch_size=3)
    part = DataLoaderSlice(loader, 2)
    assert [batch[0].tolist() for batch in by_rows(part)] == [[0, 1, 2], [3, 4, 5]]
    assert part.dl is loader

    around = prepare_data_loader(loader, torch.device("cpu"), put_on_device=True)
    for passes in (1, 2):
        quick = by_rows(around)
        assert quick.base_dataloader is not loader
        assert [len(batch[0]) for batch in quick] == [3, 3, 2]
        assert (around.iteration, around.dataset) == (passes, data)


class Batches(Trainer):
    """Notes the batches of training and evaluation."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def calculate_train_batch_loss(self, batch):
        self.seen.append(batch)
        return super().calculate_train_batch_loss(batch)

    calculate_eval_batch_loss = calculate_train_batch_loss


class Looks(TrainerCallback):
    def on_train_step_end(self, trainer, **kwargs):
        assert trainer.run.train_loader.dataset is trainer.train_dataset

    def on_eval_step_end(self, trainer, **kwargs):
        assert trainer.run.eval_loader.dataset is trainer.eval_dataset


RUN = {"num_epochs": 2, "per_device_batch_size": 3, "seed": 1}


def batches_of(kind, *callbacks, **options):
    train, evaluate = (kind(torch.arange(20.0) + n, torch.zeros(20)) for n in (0, 50))
    trainer = make_trainer(*callbacks, kind=Batches)
    trainer.train(train, eval_dataset=Subset(evaluate, range(5)), **{**RUN, **options})
    return trainer.seen


@pytest.fixture
def no_samples(monkeypatch):
    """Fail where a sample is fetched, unless it is of a class of one's own."""

    def get(self, index):
        assert type(self) is Sampled
        return tuple(tensor[index] for tensor in self.tensors)

    monkeypatch.setattr(TensorDataset, "__getitem__", get)


def sampler_of(indices):
    return {"sampler": SubsetRandomSampler(indices)}


OPTIONS = {
    "as it is": {},
    "a sampler": {"train_dataloader_kwargs": sampler_of([1, 5, 9, 13])},
    "a batch sampler": {
        "train_dataloader_kwargs": {"batch_sampler": BatchSampler(range(7), 2, False)}
    },
    "windows": {"gradient_accumulation_steps": 2},
    "the default, by name": {"collate_fn": default_collate},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_run_has_the_same_batches(options, no_samples):
    assert_same(batches_of(TensorDataset, Looks, **options), batches_of(Sampled, Looks, **options))


def test_a_limited_run_has_the_same_batches(no_samples):
    batches = [batches_of(kind, LimitBatchesCallback(2)) for kind in (TensorDataset, Sampled)]
    assert len(batches[0]) == 8
    assert_same(*batches)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_make_the_same_batches_and_see_the_users_data_set(persistent, no_samples):
    def look(worker_id):
        dataset = torch.utils.data.get_worker_info().dataset
        assert type(dataset) in (TensorDataset, Sampled), dataset

    options = {"num_workers": 1, "persistent_workers": persistent, "worker_init_fn": look}
    kinds = (TensorDataset, Sampled)
    assert_same(*(batches_of(kind, train_dataloader_kwargs=options) for kind in kinds))


def test_a_run_continues_at_the_very_batch(tmp_path, no_samples):
    whole = batches_of(TensorDataset)
    saved = {"checkpoint_dir": tmp_path, "checkpoint_every": 1, "resume": "auto"}
    with pytest.raises(Interrupted):
        batches_of(TensorDataset, DieAt(6), **saved)  # before the checkpoint of update 6
    assert_same(batches_of(TensorDataset, **saved), whole[5:])
