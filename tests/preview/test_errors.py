"""What cannot be shown is refused in words: which argument, what it is, and what to write."""

from __future__ import annotations

import sys
from unittest.mock import MagicMock

import pytest
import torch

from pytorch_accelerated.preview import compare, preview
from pytorch_accelerated.preview.lr_range import LrRange
from pytorch_accelerated.schedules import cosine
from tests.recording import adamw

PLANNED = preview(cosine(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare(1, 2), "planned=1 is an int, but has to be a preview"),
        (
            lambda: compare({"lr": [[1.0]]}, PLANNED),
            "planned={'lr': [[1.0]]} is a dict, but",
        ),
        (lambda: compare(PLANNED, 2), "applied=2 is an int"),
        (lambda: compare(PLANNED, None), "applied=None is a NoneType"),
        (lambda: compare(PLANNED, [[1.0]] * 3), "applied=[[1.0], [1.0], [1.0]] is a list"),
        (lambda: compare(PLANNED, {"value": 5}), "applied['value'] has to hold"),
        (lambda: compare(PLANNED, {"value": [1.0, 0.5, 0.0]}), "applied['value'] has to hold"),
        (lambda: PLANNED.plot(applied=3), "applied=3 is an int"),
        (lambda: PLANNED.plot(loss=3), "loss=3 is an int"),
        (lambda: PLANNED.plot(loss=["a"]), "loss='a' is a str"),
        (lambda: PLANNED.plot(loss={0: None}), "loss=None is a NoneType"),
        (lambda: PLANNED.plot(fields="value"), "fields='value' is a str"),
        (lambda: PLANNED.plot(fields=5), "fields=5 is an int, but has to be a list"),
        (lambda: cosine(10).plot(num_updates="a"), "num_updates='a' is a str"),
        (lambda: cosine(10).plot(num_updates=2.5), "num_updates=2.5 is a fractional"),
        (lambda: cosine(10).plot(base="a"), "base='a' is a str"),
        (lambda: cosine(10).plot(base=None), "base=None is a NoneType"),
        (lambda: preview(5), "scheduler=5 is an int"),
        (lambda: preview(None), "scheduler=None is a NoneType"),
        (lambda: preview([cosine(3), 5]), "scheduler=cosine(3) is a Phase"),
        (lambda: preview(adamw([0.1])), "scheduler is an AdamW"),
        (lambda: preview(torch.nn.Linear(1, 1)), "is a Linear"),
        (lambda: preview(MagicMock()), "is a MagicMock"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(call, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("library", "call", "message"),
    [
        ("matplotlib.axes", PLANNED.plot, "matplotlib: pip install 'pytorch-accelerated[plot]'"),
        ("matplotlib.axes", cosine(3).plot, "matplotlib: pip install 'pytorch-accelerated[plot]'"),
        (
            "matplotlib.axes",
            lambda: cosine(10**9).plot(),
            "matplotlib: pip install 'pytorch-accelerated[plot]'",
        ),
        (
            "plotly.offline",
            lambda: PLANNED.save_html("a.html"),
            "plotly: pip install 'pytorch-accelerated[html]'",
        ),
        ("pandas", PLANNED.to_frame, "pandas: pip install pandas"),
    ],
)
def test_a_library_that_is_missing_is_named(monkeypatch, library, call, message):
    for name in [name for name in sys.modules if name.startswith("pytorch_accelerated.preview.")]:
        if name.rpartition(".")[2] in ("plot", "html"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match="needs") as caught:
        call()
    assert message in str(caught.value)


def test_a_picture_of_learning_rates_says_as_well_what_is_missing(monkeypatch):
    found = LrRange.__new__(LrRange)
    monkeypatch.delitem(sys.modules, "pytorch_accelerated.preview.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(ImportError, match="pip install 'pytorch-accelerated"):
        found.plot()
