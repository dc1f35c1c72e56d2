"""How a scheduler is made: what its constructor sets is there before it is asked for values."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from typing import Any


class SchedulerMeta(ABCMeta):
    """Ends construction after the outermost ``__init__``, when a subclass's attributes exist."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        scheduler: Any = cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        try:
            try:
                scheduler.__init__(*args, **kwargs)
            except TypeError:
                _check_arguments(cls, args, kwargs)
                raise
            scheduler._finish_construction()
        except BaseException:
            scheduler._forget_new_groups()
            raise
        return scheduler

    @property
    def __signature__(cls) -> inspect.Signature:
        # Otherwise help(), editors and configuration tools show that of __call__ above.
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _check_arguments(cls: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise, with what to write, if a class was called with arguments that it does not take."""
    signature = inspect.signature(cls)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        shown = [name for name, one in signature.parameters.items() if one.default is one.empty]
        if any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values()):
            shown[-1] = "field=schedule"
        raise TypeError(f"{error}. Write {cls.__name__}({', '.join(shown)}).") from None
