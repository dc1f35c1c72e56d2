"""Freezing and unfreezing parts of a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from pytorch_accelerated.borrowed import checked_module
from pytorch_accelerated.checks import whole, wrong_kind

BN_MODULES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""What counts as batch normalisation."""

_KEPT_IN_EVAL = "_pytorch_accelerated_kept_in_eval"


class LayerGroup(NamedTuple):
    """A direct child of the model.

    Attributes:
        layer_group_idx: Its index among the groups, counted from the start and from the end.
        module: The child.
        is_frozen: Whether any of its parameters is frozen.
    """

    layer_group_idx: tuple[int, int]
    module: nn.Module
    is_frozen: bool


class Layer(NamedTuple):
    """A module without children.

    Attributes:
        layer_group_idx: Index of the group it belongs to, counted from the start and from the end.
        module: The module.
        is_frozen: Whether any of its parameters is frozen; without parameters, whether it is in
            evaluation mode.
    """

    layer_group_idx: tuple[int, int]
    module: nn.Module
    is_frozen: bool


def _module_is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, BN_MODULES)


def keep_frozen_modules_in_eval(model: nn.Module) -> None:
    """Put modules back into evaluation mode that `ModelFreezer` was asked to keep there.

    The Trainer calls it at the start of each training epoch; a loop of your own calls it after
    ``model.train()``.

    Args:
        model: The model, wrapped or not.

    Raises:
        TypeError: ``model`` is not a module.
    """
    if not isinstance(model, nn.Module):
        raise wrong_kind("model", model, "a torch.nn.Module.")
    for module in model.modules():
        if getattr(module, _KEPT_IN_EVAL, False):
            module.training = False


class ModelFreezer:
    """Freezes and unfreezes a model by layer groups, its direct children.

    All parameters of a group are covered, those that a module with children owns itself
    included. Parameters that the model itself owns, such as a class token, belong to the first
    group. A model without children is one group. Everything is unfrozen at the start.

    Args:
        model: The model.
        freeze_batch_norms: Whether `freeze` also freezes batch normalisation.

    Attributes:
        model: The model.
        num_groups: Number of layer groups.
        freeze_bn: Whether `freeze` also freezes batch normalisation.

    Raises:
        TypeError: ``model`` is not a module.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> freezer = ModelFreezer(model)
        >>> freezer.freeze()
        >>> [group.is_frozen for group in freezer.get_layer_groups()]
        [True, False, False]
        >>> new = freezer.unfreeze(from_index=0, to_index=0)
        >>> [tuple(parameter.shape) for parameter in new[0]["params"]]
        [(3, 4), (3,)]
    """

    def __init__(self, model: nn.Module, freeze_batch_norms: bool = False) -> None:
        self.model = checked_module("model", model)
        self.freeze_bn = freeze_batch_norms
        self.num_groups = len(self._groups())
        self.unfreeze()

    def get_layer_groups(self) -> list[LayerGroup]:
        """Return the direct children of the model, in order."""
        return [
            LayerGroup(
                (index, index - self.num_groups),
                module,
                any(not parameter.requires_grad for parameter in self._parameters(index)),
            )
            for index, module in enumerate(self._groups())
        ]

    def get_layers(self) -> list[Layer]:
        """Return the modules without children, in order."""
        return [
            Layer((index, index - self.num_groups), module, _layer_is_frozen(module))
            for index, group in enumerate(self._groups())
            for module in group.modules()
            if next(module.children(), None) is None
        ]

    def get_trainable_parameters(self) -> list[nn.Parameter]:
        """Return all parameters that are not frozen."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def freeze(
        self, from_index: int = 0, to_index: int = -2, set_modules_as_eval: bool = False
    ) -> None:
        """Freeze the groups from one index to another, both included; by default all but the last.

        Batch normalisation is passed over unless ``freeze_batch_norms`` was asked for.

        Args:
            from_index: First group; a negative index counts from the end.
            to_index: Last group.
            set_modules_as_eval: Also put the frozen modules into evaluation mode, and keep them
                there in training epochs (see `keep_frozen_modules_in_eval`).

        Raises:
            TypeError: An index is not an integer.
            ValueError: There is no group with such an index.
        """
        if (from_index, to_index, self.num_groups) == (0, -2, 1):
            return  # all but the last of one group is none
        for index in self._range(from_index, to_index):
            for parameter in self._parameters(index, batch_norms=self.freeze_bn):
                parameter.requires_grad_(False)
            if set_modules_as_eval:
                for module in self._modules(index, batch_norms=self.freeze_bn):
                    module.training = False
                    setattr(module, _KEPT_IN_EVAL, True)

    def unfreeze(
        self, from_index: int = -1, to_index: int = 0, set_modules_as_training: bool = True
    ) -> dict[int, dict[str, list[nn.Parameter]]]:
        """Unfreeze the groups from one index to another, both included; by default all.

        Args:
            from_index: First group; a negative index counts from the end.
            to_index: Last group.
            set_modules_as_training: Also put the modules into training mode; else each stays in
                the mode it is in.

        Returns:
            For each group with parameters that were frozen, by the group's index, those
            parameters in the form that ``optimizer.add_param_group`` takes.

        Raises:
            TypeError: An index is not an integer.
            ValueError: There is no group with such an index.
        """
        unfrozen: dict[int, dict[str, list[nn.Parameter]]] = {}
        for index in self._range(from_index, to_index):
            for parameter in self._parameters(index):
                if not parameter.requires_grad:
                    parameter.requires_grad_(True)
                    unfrozen.setdefault(index, {"params": []})["params"].append(parameter)
            if set_modules_as_training:
                for module in self._modules(index):
                    module.training = True
                    setattr(module, _KEPT_IN_EVAL, False)
        return unfrozen

    def _groups(self) -> list[nn.Module]:
        return list(self.model.children()) or [self.model]

    def _modules(self, index: int, batch_norms: bool = True) -> Iterator[nn.Module]:
        for module in self._groups()[index].modules():
            if batch_norms or not _module_is_batch_norm(module):
                yield module

    def _parameters(self, index: int, batch_norms: bool = True) -> Iterator[nn.Parameter]:
        if index == 0 and self._groups()[0] is not self.model:
            yield from self.model.parameters(recurse=False)
        for module in self._modules(index, batch_norms):
            yield from module.parameters(recurse=False)

    def _range(self, from_index: int, to_index: int) -> range:
        ends, number = {"from_index": from_index, "to_index": to_index}, self.num_groups
        for name, value in ends.items():
            index = whole(name, value, minimum=-sys.maxsize)
            if not -number <= index < number:
                raise ValueError(
                    f"{name}={index} is out of range: the model has {number} layer groups. Write "
                    f"a number from 0 to {number - 1}, or from -{number} to -1."
                )
            ends[name] = index % number
        return range(min(ends.values()), max(ends.values()) + 1)


def _layer_is_frozen(module: nn.Module) -> bool:
    frozen = [not parameter.requires_grad for parameter in module.parameters()]
    return any(frozen) if frozen else not module.training
