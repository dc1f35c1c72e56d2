"""Pure schedules: which value a hyperparameter has at update k. No torch, no optimizer.

Numbers are multiples of a group's base value unless marked with :func:`absolute`.
"""

from typing import TYPE_CHECKING

from pytorch_accelerated.names import missing
from pytorch_accelerated.schedules.averages import EmaPower, EmaWarmup
from pytorch_accelerated.schedules.compose import Product, Repeat, Scaled, Sequence, Sum
from pytorch_accelerated.schedules.curves import phase
from pytorch_accelerated.schedules.derived import (
    Endless,
    Maximum,
    Minimum,
    Rounded,
    Stretched,
    Until,
    maximum,
    minimum,
)
from pytorch_accelerated.schedules.phase import Phase, constant
from pytorch_accelerated.schedules.points import (
    FromFunction,
    Milestones,
    from_function,
    milestones,
)
from pytorch_accelerated.schedules.recipes import one_cycle_with_momentum
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Absolute, Affine, Epochs, absolute, epochs
from pytorch_accelerated.schedules.track import PhaseRow

__all__ = [
    "Absolute",
    "Affine",
    "EmaPower",
    "EmaWarmup",
    "Endless",
    "Epochs",
    "FromFunction",
    "Maximum",
    "Milestones",
    "Minimum",
    "Phase",
    "PhaseRow",
    "Product",
    "Repeat",
    "Rounded",
    "Scaled",
    "Schedule",
    "Sequence",
    "Stretched",
    "Sum",
    "Until",
    "absolute",
    "constant",
    "epochs",
    "from_function",
    "maximum",
    "milestones",
    "minimum",
    "one_cycle_with_momentum",
    "phase",
]

# A curve is named nowhere but in its file: type checkers read the names there.
if TYPE_CHECKING:
    from pytorch_accelerated.schedules.averages import *  # noqa: F403
    from pytorch_accelerated.schedules.betas import *  # noqa: F403
    from pytorch_accelerated.schedules.curves import *  # noqa: F403
    from pytorch_accelerated.schedules.ratios import *  # noqa: F403
    from pytorch_accelerated.schedules.recipes import *  # noqa: F403
else:
    from pytorch_accelerated.schedules.recipes import NAMED

    globals().update({entry.name: entry.factory for entry in NAMED})
    __all__ += [entry.name for entry in NAMED]

    def __getattr__(name: str) -> None:
        raise missing(__name__, name)
