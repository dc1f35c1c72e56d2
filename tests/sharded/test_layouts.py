"""Who writes what of a split tensor follows from its layout alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pytorch_accelerated.sharded import Layout, parts_of

LAYOUTS = {
    "one dimension, unevenly": Layout((5, 3), (4,), (0, 1, 2, 3), (0,)),
    "fewer rows than processes": Layout((2, 3), (4,), (0, 1, 2, 3), (0,)),
    "columns": Layout((3, 5), (2,), (0, 1), (1,)),
    "two dimensions": Layout((5, 3), (2, 2), (0, 1, 2, 3), (0, 1)),
    "rows twice": Layout((7, 2), (2, 2), (0, 1, 2, 3), ((0, 2), 0)),
    "copies": Layout((5, 3), (2, 2), (0, 1, 2, 3), (None, 0)),
    "nothing is split": Layout((3,), (3,), (0, 1, 2), (None,)),
    "a number": Layout((), (2,), (0, 1), (None,)),
    "nothing": Layout((0, 3), (2,), (0, 1), (0,)),
}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_each_number_of_a_tensor_is_written_once(layout, number):
    count = torch.zeros(layout.shape, dtype=torch.int64)
    for process, box in layout.pieces(number):
        assert layout.box(process) == box
        assert layout.is_written_by(process, number)
        count[box] += 1
    assert count.eq(1).all()
    writers = [one for one in layout.processes if layout.is_written_by(one, number)]
    assert writers == sorted(process for process, _ in layout.pieces(number))


def test_rows_that_are_split_twice_are_split_by_tensor_parallel_first():
    layout = LAYOUTS["rows twice"]
    rows = [layout.box(process)[0] for process in range(4)]
    assert rows == [slice(0, 2), slice(4, 6), slice(2, 4), slice(6, 7)]


def test_what_is_copied_is_shared_out_among_those_that_have_it():
    whole = Layout((8, 8), (4,), (0, 1, 2, 3), (None,))
    layouts = {f"layer.{number}": whole for number in range(12)}
    parts = [parts_of(layouts, process) for process in range(4)]
    assert [len(one) for one in parts] == [3, 3, 3, 3]
    assert sorted(itertools.chain(*parts)) == sorted(layouts)


def test_a_thousand_processes_each_find_their_own_parts():
    ranks = tuple(range(1000))
    layouts = {
        f"layer.{number}": Layout((1000 + number, 4), (1000,), ranks, (0,)) for number in range(4)
    }
    written = 0
    for process in ranks:
        for box in parts_of(layouts, process).values():
            written += math.prod(one.stop - one.start for one in box)
    assert written == sum(math.prod(one.shape) for one in layouts.values())
