import copy
import os
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pytorch_accelerated.utils import (
    LIMIT_BATCHES_ENV_VAR,
    DataLoaderSlice,
    LimitBatches,
    get_limit_batches_from_env,
    local_process_zero_first,
    local_process_zero_only,
    remove_padding,
    worker_init_fn,
    world_process_zero_only,
)
from tests.launching import forked


@pytest.fixture(autouse=True)
def _no_limit_outside(monkeypatch):
    monkeypatch.delenv(LIMIT_BATCHES_ENV_VAR, raising=False)


def test_limit_batches_sets_the_variable_inside_only():
    with LimitBatches(3):
        assert os.environ[LIMIT_BATCHES_ENV_VAR] == "3"
    assert LIMIT_BATCHES_ENV_VAR not in os.environ


def test_limit_batches_restores_what_was_set_before(monkeypatch):
    monkeypatch.setenv(LIMIT_BATCHES_ENV_VAR, "7")
    with pytest.raises(RuntimeError), LimitBatches(3):
        raise RuntimeError
    assert os.environ[LIMIT_BATCHES_ENV_VAR] == "7"


def test_limit_batches_nests():
    outer = LimitBatches(5)
    with outer:
        with LimitBatches(2), outer:
            assert get_limit_batches_from_env() == 5
        assert get_limit_batches_from_env() == 5
    assert get_limit_batches_from_env() is None


@pytest.mark.parametrize("text", ["none", "None", "NONE"])
def test_none_in_any_case_is_no_limit(monkeypatch, text):
    monkeypatch.setenv(LIMIT_BATCHES_ENV_VAR, text)
    assert get_limit_batches_from_env() is None


@pytest.mark.parametrize("text", ["", "0", "-1", "2.5", "many"])
def test_anything_else_in_the_variable_is_refused(monkeypatch, text):
    monkeypatch.setenv(LIMIT_BATCHES_ENV_VAR, text)
    with pytest.raises(ValueError, match="set it to a positive whole number"):
        get_limit_batches_from_env()


@pytest.mark.parametrize(
    ("number", "error"),
    [(0, ValueError), (-1, ValueError), (2.5, ValueError), (True, TypeError), ("3", TypeError)],
)
def test_limits_are_positive_whole_numbers(number, error):
    with pytest.raises(error, match=f"num_batches={number!r} "):
        LimitBatches(number)
    with pytest.raises(error, match=f"slice_size={number!r} "):
        DataLoaderSlice([1, 2, 3], number)


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (3, 3), (4, 4), (10, 4)])
def test_a_slice_is_never_longer_than_its_loader(size, expected):
    part = DataLoaderSlice(DataLoader(range(8), batch_size=2), size)

    assert len(part) == len(list(part)) == expected


def test_a_slice_starts_anew_and_has_the_loaders_attributes():
    loader = DataLoader(range(8), batch_size=2)
    part = DataLoaderSlice(loader, 2)

    assert [batch.tolist() for batch in part] == [batch.tolist() for batch in part]
    assert part.batch_sampler is loader.batch_sampler
    assert part.dataset == range(8)
    with pytest.raises(AttributeError):
        _ = part.nothing


def test_a_slice_takes_no_batch_too_many_from_its_loader():
    taken = []

    def batches():
        for batch in range(5):
            taken.append(batch)
            yield batch

    assert list(DataLoaderSlice(batches(), 2)) == [0, 1]
    assert taken == [0, 1]


def test_slices_can_be_copied_and_pickled():
    part = DataLoaderSlice(DataLoader(range(8), batch_size=2), 2)

    assert len(copy.deepcopy(part)) == len(pickle.loads(pickle.dumps(part))) == 2


def test_on_one_process_decorated_functions_just_run():
    for decorate in (local_process_zero_only, world_process_zero_only, local_process_zero_first):

        @decorate
        def double(x, *, plus=0):
            """Twice as much."""
            return 2 * x + plus

        assert double(2, plus=1) == 5
        assert (double.__name__, double.__doc__) == ("double", "Twice as much.")


PROCESSES = """
import os, sys
from pathlib import Path
from accelerate import PartialState
from pytorch_accelerated.utils import (
    local_process_zero_first, local_process_zero_only, world_process_zero_only
)

folder = Path(sys.argv[1])

@local_process_zero_only
def local_only():
    return rank

@world_process_zero_only
def world_only():
    return rank

@local_process_zero_first
def first():
    file = folder / "cache"
    found = file.exists()
    file.write_text("made")
    return found

@world_process_zero_only
def failing():
    raise OSError("disk full")

@local_process_zero_first
def failing_first():
    if rank == 0:
        raise OSError("disk full")
    return rank

rank = int(os.environ["RANK"])
results = [local_only(), world_only(), first()]
for function in (failing, failing_first):
    try:
        results.append(function())
    except OSError as error:
        results.append(str(error))
state = PartialState()
state.wait_for_everyone()
(folder / f"result_{rank}").write_text(repr(results))
state.destroy_process_group()
"""


def test_on_two_processes_the_right_one_runs_and_an_error_leaves_nobody_waiting(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    forked(2, str(script), tmp_path, seconds=120)

    results = [eval((tmp_path / f"result_{rank}").read_text()) for rank in range(2)]
    assert results == [
        [0, 0, False, "disk full", "disk full"],
        [None, None, True, None, 1],
    ]


class Draws(Dataset):
    """Each item is what a worker draws from Python's, NumPy's and torch's generators."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        import random

        import numpy as np

        return torch.tensor(
            [random.random(), float(np.random.rand()), torch.rand(()).item()], dtype=torch.float64
        )


def draw(monkeypatch, rank, seed=3):
    monkeypatch.setenv("RANK", str(rank))
    loader = DataLoader(
        Draws(),
        num_workers=2,
        worker_init_fn=worker_init_fn,
        generator=torch.Generator().manual_seed(seed),
    )
    return torch.cat(list(loader))


def test_workers_repeat_their_draws_for_a_seed_and_differ_between_processes(monkeypatch):
    first, again, peer = (draw(monkeypatch, rank) for rank in (0, 0, 1))

    assert torch.equal(first, again)
    assert torch.equal(peer, draw(monkeypatch, 1))
    assert len(torch.cat([first, peer]).unique()) == 2 * first.numel()


def test_outside_a_worker_no_generator_is_touched(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    before = torch.get_rng_state()

    worker_init_fn(0)

    assert torch.equal(torch.get_rng_state(), before)


def test_padding_is_removed_along_the_first_dimension():
    assert remove_padding(torch.tensor([1, -1, 2, -1]), -1).tolist() == [1, 2]
    assert remove_padding(torch.tensor([[1, -1], [-1, -1]]), -1).tolist() == [[1, -1]]
    assert remove_padding(torch.zeros(2, 0, 3)[:0], -1).shape == (0, 0, 3)


def test_nan_padding_is_removed():
    nan = float("nan")
    assert remove_padding(torch.tensor([[1.0, nan], [nan, nan]]), nan)[0, 0] == 1
    assert len(remove_padding(torch.tensor([[1.0, nan], [nan, nan]]), nan)) == 1
