import json
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pytorch_accelerated.checkpoints import tensors as files_of_tensors
from pytorch_accelerated.checkpoints.contents import join, split
from pytorch_accelerated.checkpoints.folders import to_json
from pytorch_accelerated.checkpoints.tensors import DTYPES, pieces, read

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.text() | st.integers() | st.booleans() | st.tuples(st.integers(), st.text())
trees = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(st.integers())
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@given(trees)
@settings(max_examples=50, deadline=None)
def test_plain_values_come_back_as_they_were(tree):
    skeleton, tensors = split(tree)
    assert not tensors
    assert same(join(json.loads(to_json(skeleton)), {}), tree)


def same(one, other):
    """Equal, where a NaN equals a NaN and 1 does not equal True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same([*one.values()], [*other.values()])
    return one == other if isinstance(one, set | frozenset) else repr(one) == repr(other)


@pytest.mark.parametrize(
    "tree",
    [
        Counter([3, 3, 5]),
        OrderedDict(b=1, a=2),
        {"__tensor__": "a name that is none"},
        {"__tuple__": [1]},
        {"__x": {"__float__": ["1"]}},
    ],
)
def test_special_dicts_come_back_as_they_were(tree):
    back = join(json.loads(to_json(split(tree)[0])), {})
    assert back == tree
    assert type(back) is type(tree)


def content(tensor):
    return tensor.reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_tensors_come_back_bit_for_bit(tmp_path, dtype, shape):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(2, shape, generator=generator).to(dtype)
    if not dtype.is_complex and dtype.is_floating_point and dtype.itemsize > 1:
        numbers = numbers / 3
    skeleton, tensors = split({"a": [numbers], "b": numbers})
    path = tmp_path / "tensors.safetensors"
    path.write_bytes(b"".join(map(bytes, pieces(tensors))))
    back = join(skeleton, read(path))
    for tensor in (back["a"][0], back["b"]):
        assert tensor.dtype == dtype
        assert tensor.shape == numbers.shape
        assert content(tensor) == content(numbers)
    assert load_file(path).keys() == tensors.keys()


def test_tensors_are_copied_so_that_training_may_go_on():
    weight = torch.zeros(3)
    _, tensors = split({"weight": weight})
    weight += 1
    assert tensors["weight"].tolist() == [0, 0, 0]


def test_copies_go_to_memory_that_is_kept_where_that_is_like_the_tensor():
    before = {"same": torch.ones(2, 3), "turned": torch.ones(3, 2), "gone": torch.ones(4)}
    _, kept = split(before)
    now = {
        "same": torch.arange(6.0).reshape(3, 2).T,
        "turned": torch.arange(6.0).reshape(2, 3),
        "new": torch.arange(4),
    }
    skeleton, copies = split(now, kept=kept)
    assert copies["same"] is kept["same"]
    assert copies["turned"] is not kept["turned"]
    assert copies.keys() == now.keys()
    for name, tensor in join(skeleton, copies).items():
        assert torch.equal(tensor, now[name])
    _, other = split({"same": torch.ones(2, 3, dtype=torch.float64)}, kept=copies)
    assert other["same"].dtype is torch.float64


def test_views_and_names_that_collide():
    matrix = torch.arange(6.0).view(2, 3)
    tree = {"a.b": matrix.T, "a": {"b": matrix[:, 1]}, ("a", 1): matrix.conj()}
    skeleton, tensors = split(tree)
    assert len(tensors) == 3
    back = join(skeleton, tensors)
    assert back["a.b"].tolist() == matrix.T.tolist()
    assert back["a"]["b"].tolist() == [1.0, 4.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Path("x"), "PosixPath"),
        (np.float64(1.0), "numpy.float64"),
        (np.zeros(2), "numpy.ndarray"),
        (len, "builtin_function"),
        (torch.nn.Identity(), "Identity"),
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.empty(2, device="meta"), "meta"),
        (bytearray(b"bytes"), "bytearray"),
    ],
)
def test_what_could_only_be_read_back_as_code_is_refused(value, said):
    with pytest.raises(TypeError, match=said) as caught:
        split({"best": [1, value]}, "the state")
    assert "the state['best']['1'] is a" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_tensors_are_written_in_what_every_version_reads(dtype):
    _, tensors = split({"phase": torch.ones(2, dtype=dtype)})
    assert not tensors["phase"].is_complex()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_these_versions_could_not_read_back_is_not_written(dtype, monkeypatch):
    read_one = safetensors.torch.load

    def older(data):
        if f'"{DTYPES[dtype]}"'.encode() in data:
            raise safetensors.SafetensorError("invalid header")
        return read_one(data)

    monkeypatch.setattr(safetensors.torch, "load", older)
    files_of_tensors.can_be_read_back.cache_clear()
    try:
        with pytest.raises(TypeError, match=rf"\['it'\] is a tensor with .*{dtype}.* reads back"):
            split({"it": torch.zeros(1, dtype=dtype)})
    finally:
        files_of_tensors.can_be_read_back.cache_clear()
