"""Accelerate's wrappers around the model: put on for a run, and taken off without a trace."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_compiled_module
from torch import nn
from torch.nn.parallel import DistributedDataParallel

# What Accelerate leaves on a module that it has prepared, wrapped or not.
_ACCELERATES_MARKS = {"forward", "_original_forward", "_is_accelerate_prepared"}


class Wrapping:
    """What has to be known to hand a model back as it came."""

    def __init__(self, accelerator: Accelerator, model: nn.Module) -> None:
        self._accelerator = accelerator
        self._was_compiled = is_compiled_module(model)
        self._marks: list[tuple[nn.Module, dict[str, Any]]] = []
        self._exchanged: set[int] | None = None

    @property
    def is_on(self) -> bool:
        """Whether the model is prepared."""
        return bool(self._marks)

    def note_before(self, model: nn.Module) -> None:
        """Note what Accelerate is about to put on the model, which it may have of its own."""
        self._marks = [
            (module, {name: vars(module)[name] for name in _ACCELERATES_MARKS & set(vars(module))})
            for module in (model, getattr(model, "_orig_mod", model))
        ]

    def note_after(self, model: nn.Module) -> None:
        """Note whose gradients the processes will exchange."""
        is_wrapped = isinstance(getattr(model, "_orig_mod", model), DistributedDataParallel)
        if is_wrapped and self._accelerator.num_processes > 1:
            self._exchanged = {id(p) for p in model.parameters() if p.requires_grad}

    def check_nothing_was_unfrozen(self, model: nn.Module) -> None:
        """Refuse gradients that distributed training, set up without them, would not exchange."""
        if self._exchanged is None:
            return
        late = [
            name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and id(parameter) not in self._exchanged
        ]
        if late:
            raise ValueError(
                f"{len(late)} parameters were unfrozen since the run began, such as {late[0]}: the "
                f"processes would not exchange their gradients, and drift apart. Unfreeze them "
                f"between two calls of train(), the second with reset_run_history=False"
            )

    def off(self, model: nn.Module) -> nn.Module:
        """The model without wrappers and marks."""
        bare: nn.Module = self._accelerator.unwrap_model(
            model, keep_torch_compile=self._was_compiled
        )
        # Otherwise the next run would take the model for prepared, and leave it as it is.
        for module, attributes in self._marks:
            for name in _ACCELERATES_MARKS:
                vars(module).pop(name, None)
            vars(module).update(attributes)
        self._marks = []
        return bare
