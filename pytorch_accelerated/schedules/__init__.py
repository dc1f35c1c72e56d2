"""Pure schedules: which value a hyperparameter has at update k. No torch, no optimizer.

Numbers are multiples of a group's base value unless marked with :func:`absolute`.
"""

from pytorch_accelerated.schedules.base import Absolute, Affine, PhaseRow, Schedule, absolute
from pytorch_accelerated.schedules.lengths import Epochs, epochs
from pytorch_accelerated.schedules.phases import (
    Phase,
    constant,
    cosine,
    exponential,
    inverse_proportional,
    inverse_sqrt,
    linear,
    phase,
    polynomial,
    rex,
    sqrt,
    tanh,
)

from pytorch_accelerated.schedules.combine import (  # isort: skip  (needs phases)
    Product,
    Repeat,
    Scaled,
    Sequence,
    Sum,
)
from pytorch_accelerated.schedules.pointwise import (
    FromFunction,
    Milestones,
    from_function,
    milestones,
)

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
    "cosine",
    "epochs",
    "exponential",
    "from_function",
    "inverse_proportional",
    "inverse_sqrt",
    "linear",
    "milestones",
    "phase",
    "polynomial",
    "rex",
    "sqrt",
    "tanh",
]
