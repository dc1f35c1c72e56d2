"""Pure schedules: which value a hyperparameter has at update k. No torch, no optimizer.

Numbers are multiples of a group's base value unless marked with :func:`absolute`.
"""

from typing import TYPE_CHECKING

from pytorch_accelerated.schedules.compose import Product, Repeat, Scaled, Sequence, Sum
from pytorch_accelerated.schedules.curves import phase
from pytorch_accelerated.schedules.phase import Phase, constant
from pytorch_accelerated.schedules.points import (
    FromFunction,
    Milestones,
    from_function,
    milestones,
)
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Absolute, Affine, Epochs, absolute, epochs
from pytorch_accelerated.schedules.track import PhaseRow

__all__ = [
    "Absolute",
    "Affine",
    "Epochs",
    "FromFunction",
    "Milestones",
    "Phase",
    "PhaseRow",
    "Product",
    "Repeat",
    "Scaled",
    "Schedule",
    "Sequence",
    "Sum",
    "absolute",
    "constant",
    "epochs",
    "from_function",
    "milestones",
    "phase",
]

# A curve is named nowhere but in its file: type checkers read the names there.
if TYPE_CHECKING:
    from pytorch_accelerated.schedules.curves import *  # noqa: F403
    from pytorch_accelerated.schedules.ratios import *  # noqa: F403
else:
    from pytorch_accelerated.schedules.curves import CURVES

    globals().update({curve.name: curve.factory for curve in CURVES})
    __all__ += [curve.name for curve in CURVES]
