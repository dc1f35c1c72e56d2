"""Batches of tensors in memory: one index for each tensor, not one for each sample."""

from __future__ import annotations

import copy
from array import array
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from pytorch_accelerated.run.workers import Wrapper, innermost, rebuilt


def by_rows(loader: Any) -> Any:
    """Return what gives a loader's batches at once, if its data are tensors in memory.

    That is so for a `TensorDataset`, or `Subset` of one, whose samples PyTorch stacks. What is
    returned is for one pass: the loader itself, with the user's data set, stays as it is.
    """
    # Slices, and Accelerate's loaders, have another one within.
    for name in {"dl", "base_dataloader"} & getattr(loader, "__dict__", {}).keys():
        inner = getattr(loader, name)
        quick = by_rows(inner)
        if quick is inner:
            return loader
        around = copy.copy(loader)
        setattr(around, name, quick)
        if hasattr(loader, "iteration"):
            loader.iteration += 1  # as the pass itself would have counted
        return around
    is_stacked = (
        type(loader) is DataLoader
        and loader.batch_sampler is not None
        and loader.collate_fn is default_collate
    )
    if not is_stacked or not _has_plain_rows(loader.dataset):
        return loader
    return rebuilt(loader, dataset=_Rows(loader.dataset), collate_fn=_as_it_is)


def _has_plain_rows(dataset: Any) -> bool:
    """Return whether stacking samples gives the very rows that an index would."""
    tensors = innermost(dataset)
    return type(tensors) is TensorDataset and all(
        type(one) is Tensor
        and one.layout is torch.strided
        and not (one.requires_grad or one.is_nested or one.is_quantized)
        and not (one.is_conj() or one.is_neg())
        for one in tensors.tensors
    )


def _as_it_is(batch: Any) -> Any:
    return batch


class _Rows(Wrapper, Dataset[Any]):
    """Tensors in memory, which give batches instead of lists of samples."""

    def __len__(self) -> int:
        return len(self._wrapped)

    def __getitems__(self, indices: Any) -> list[Tensor]:
        dataset: Any = self._wrapped
        rows = indices = list(indices)
        try:
            while type(dataset) is Subset:
                dataset, rows = dataset.dataset, [dataset.indices[i] for i in rows]
            if type(rows[0]) is not bool:
                # An array takes whole numbers of any kind; it is made of a list six times as
                # fast as a tensor is.
                index = torch.frombuffer(array("q", rows), dtype=torch.int64)
                return [one.index_select(0, index.to(one.device)) for one in dataset.tensors]
        except (IndexError, RuntimeError, TypeError, ValueError):
            pass  # what one index cannot do, or an error that is to be that of a sample
        batch: list[Tensor] = default_collate([self._wrapped[i] for i in indices])
        return batch
