"""Schedulers of other libraries beside the one expression that gives the same values.

The tests run both sides of every row, and the page "Coming from …" is made of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Their call, our expression, and how far they are compared.

    Attributes:
        library: Whose call it is.
        name: The name of their scheduler; it may come in several variants.
        theirs: Their call as source. ``optimizer`` has the groups of ``bases``.
        ours: Our schedule as source, in the names of ``pytorch_accelerated.schedules``.
        num_updates: How many updates are compared, from update 0 on.
        bases: The value that each parameter group has in the field before scheduling.
        field: The scheduled field.
        variant: What sets this row apart from others of the same name.
        note: What a reader who changes over has to know.
        cancels: Whether theirs subtracts numbers of the base value's size to get a small one, so
            that its own rounding, up to one unit in the base value's last place, remains.
        updates_per_epoch: Where theirs is stepped once an epoch: how many updates that has.
        lr_scales: What each of their groups holds as ``lr_scale``; all of them then have the first
            of the bases as their rate.
    """

    library: str
    name: str
    theirs: str
    ours: str
    num_updates: int = 110
    bases: tuple[float, ...] = (0.1, 0.01)
    field: str = "lr"
    variant: str = ""
    note: str = ""
    cancels: bool = False
    updates_per_epoch: int | None = None
    lr_scales: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        return self.name + (f", {self.variant}" if self.variant else "")

    @property
    def key(self) -> str:
        return f"{self.library}: {self.title}"


_NOT_PAST_THE_END = "Theirs continues past the horizon; ours holds the last value."
_ABSOLUTE = "Their values are absolute and the same for every group."

TORCH = (
    Row(
        "torch",
        "LambdaLR",
        "LambdaLR(optimizer, lambda k: 1 / (1 + 0.1 * k))",
        "from_function(lambda k: 1 / (1 + 0.1 * k))",
    ),
    Row(
        "torch",
        "MultiplicativeLR",
        "MultiplicativeLR(optimizer, lambda k: 0.95)",
        "exponential(100, end=0.95**100)",
        num_updates=101,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "StepLR",
        "StepLR(optimizer, step_size=30, gamma=0.1)",
        "constant(30).repeat(4, peak=0.1)",
        num_updates=120,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "MultiStepLR",
        "MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)",
        "milestones({30: 0.1, 80: 0.01})",
        note="Our milestones are multiples of the base value, not of the value before.",
    ),
    Row(
        "torch",
        "ConstantLR",
        "ConstantLR(optimizer, factor=0.25, total_iters=40)",
        "milestones({0: 0.25, 40: 1.0})",
    ),
    Row(
        "torch",
        "LinearLR",
        "LinearLR(optimizer, start_factor=0.1, end_factor=0.8, total_iters=40)",
        "linear(40, start=0.1, end=0.8)",
    ),
    Row(
        "torch",
        "ExponentialLR",
        "ExponentialLR(optimizer, gamma=0.95)",
        "exponential(100, end=0.95**100)",
        num_updates=101,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "PolynomialLR",
        "PolynomialLR(optimizer, total_iters=100, power=2.0)",
        "polynomial(100, end=0.0, power=2.0)",
    ),
    Row(
        "torch",
        "CosineAnnealingLR",
        "CosineAnnealingLR(optimizer, T_max=100, eta_min=0.001)",
        "cosine(100, end=absolute(0.001))",
        num_updates=101,
        note="Past ``T_max`` theirs climbs again; ours stays down.",
    ),
    Row(
        "torch",
        "CosineAnnealingWarmRestarts",
        "CosineAnnealingWarmRestarts(optimizer, T_0=20, eta_min=0.001)",
        "cosine(20, end=absolute(0.001)).repeat(5)",
        num_updates=100,
        variant="equal periods",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CosineAnnealingWarmRestarts",
        "CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)",
        "cosine(10, end=0.0).repeat(4, length=2.0)",
        num_updates=150,
        variant="growing periods",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "SequentialLR",
        """SequentialLR(
    optimizer,
    [
        LinearLR(optimizer, start_factor=0.1, total_iters=20),
        ConstantLR(optimizer, factor=1.0),
        CosineAnnealingLR(optimizer, T_max=50),
    ],
    milestones=[20, 50],
)""",
        "linear(20, start=0.1) >> constant(30) >> cosine(50, end=0.0)",
        num_updates=101,
    ),
    Row(
        "torch",
        "ChainedScheduler",
        """ChainedScheduler(
    [
        LinearLR(optimizer, start_factor=0.1, total_iters=20),
        ExponentialLR(optimizer, gamma=0.95),
    ]
)""",
        "linear(20, start=0.1) * exponential(100, end=0.95**100)",
        num_updates=101,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CyclicLR",
        """CyclicLR(
    optimizer,
    base_lr=[0.01, 0.001],
    max_lr=[0.1, 0.01],
    step_size_up=10,
    step_size_down=30,
)""",
        "(linear(10, start=0.1, end=1.0) >> linear(30, end=0.1)).repeat(3)",
        num_updates=120,
        variant="triangular",
        note="The base value is their ``max_lr``. " + _NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CyclicLR",
        """CyclicLR(
    optimizer,
    base_lr=[0.01, 0.001],
    max_lr=[0.1, 0.01],
    step_size_up=20,
    mode="triangular2",
)""",
        """constant(120, value=0.1)
+ (linear(20, start=0.0, end=0.9) >> linear(20, end=0.0)).repeat(3, peak=0.5)""",
        num_updates=120,
        variant="triangular2",
        note="Only the height above the floor halves, so the floor is added. " + _NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CyclicLR",
        """CyclicLR(
    optimizer,
    base_lr=[0.01, 0.001],
    max_lr=[0.1, 0.01],
    step_size_up=20,
    mode="exp_range",
    gamma=0.98,
)""",
        """constant(120, value=0.1)
+ (linear(20, start=0.0, end=0.9) >> linear(20, end=0.0)).repeat(3)
* exponential(120, end=0.98**120)""",
        num_updates=120,
        variant="exp_range",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CyclicLR",
        """CyclicLR(
    optimizer,
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=20,
    base_momentum=0.8,
    max_momentum=0.9,
)""",
        """(
    linear(20, start=absolute(0.9), end=absolute(0.8))
    >> linear(20, end=absolute(0.9))
).repeat(3)""",
        num_updates=120,
        field="momentum",
        variant="momentum",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "CyclicLR",
        """CyclicLR(
    optimizer,
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=20,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.9,
)""",
        """constant(120, value=absolute(0.9))
+ -1 * (
    linear(20, start=absolute(0.0), end=absolute(0.9 - 0.8))
    >> linear(20, end=absolute(0.0))
).repeat(3, peak=0.5)""",
        num_updates=120,
        field="momentum",
        variant="momentum, triangular2",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "torch",
        "OneCycleLR",
        "OneCycleLR(optimizer, max_lr=[0.1, 0.01], total_steps=100)",
        "cosine(29, start=1 / 25) >> cosine(70, end=1 / 25 / 1e4)",
        num_updates=100,
        variant="cosine, two phases",
        note="The base value is their ``max_lr``. ``total_steps`` counts both ends, so the last of "
        "100 updates is update 99. Where ``pct_start * total_steps`` is not whole, their "
        "joint lies between two updates; ours are whole updates.",
    ),
    Row(
        "torch",
        "OneCycleLR",
        "OneCycleLR(optimizer, max_lr=[0.1, 0.01], total_steps=100, pct_start=0.3)",
        "(cosine(29 / 99, start=1 / 25) >> cosine(end=1 / 25 / 1e4)).over(99)",
        num_updates=100,
        variant="shares of the run",
        note="A fraction is a share of the run, which ``create_scheduler_fn`` knows: leave "
        "``over`` out there. Of 99 updates between the first and the last of 100, their "
        "``pct_start=0.3`` takes ``0.3 * 100 - 1``; the plain ``cosine(0.3, start=1 / 25)`` peaks "
        "less than one update later.",
    ),
    Row(
        "torch",
        "OneCycleLR",
        """OneCycleLR(
    optimizer, max_lr=[0.1, 0.01], total_steps=100, anneal_strategy="linear"
)""",
        "linear(29, start=1 / 25) >> linear(70, end=1 / 25 / 1e4)",
        num_updates=100,
        variant="linear, two phases",
        cancels=True,
    ),
    Row(
        "torch",
        "OneCycleLR",
        """OneCycleLR(
    optimizer, max_lr=[0.1, 0.01], total_steps=100, three_phase=True
)""",
        "cosine(29, start=1 / 25) >> cosine(29, end=1 / 25) >> cosine(41, end=1 / 25 / 1e4)",
        num_updates=100,
        variant="cosine, three phases",
    ),
    Row(
        "torch",
        "OneCycleLR",
        """OneCycleLR(
    optimizer,
    max_lr=[0.1, 0.01],
    total_steps=100,
    anneal_strategy="linear",
    three_phase=True,
)""",
        "linear(29, start=1 / 25) >> linear(29, end=1 / 25) >> linear(41, end=1 / 25 / 1e4)",
        num_updates=100,
        variant="linear, three phases",
    ),
    Row(
        "torch",
        "OneCycleLR",
        """OneCycleLR(
    optimizer, max_lr=0.1, total_steps=100, base_momentum=0.85, max_momentum=0.95
)""",
        """cosine(29, start=absolute(0.95), end=absolute(0.85))
>> cosine(70, end=absolute(0.95))""",
        num_updates=100,
        field="momentum",
        variant="momentum, cosine, two phases",
    ),
    Row(
        "torch",
        "OneCycleLR",
        """OneCycleLR(
    optimizer,
    max_lr=0.1,
    total_steps=100,
    anneal_strategy="linear",
    three_phase=True,
    base_momentum=0.85,
    max_momentum=0.95,
)""",
        """linear(29, start=absolute(0.95), end=absolute(0.85))
>> linear(29, end=absolute(0.95))
>> constant(41)""",
        num_updates=100,
        field="momentum",
        variant="momentum, linear, three phases",
    ),
)

TRANSFORMERS = (
    Row(
        "transformers",
        "linear",
        """get_scheduler(
    "linear", optimizer, num_warmup_steps=20, num_training_steps=100
)""",
        "linear(20, start=0.0) >> linear(80, end=0.0)",
    ),
    Row(
        "transformers",
        "cosine",
        """get_scheduler(
    "cosine", optimizer, num_warmup_steps=20, num_training_steps=100
)""",
        "linear(20, start=0.0) >> cosine(80, end=0.0)",
        num_updates=101,
        note="Past the horizon theirs climbs again; ours stays down.",
    ),
    Row(
        "transformers",
        "cosine",
        """get_scheduler(
    "cosine",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"num_cycles": 2},
)""",
        "linear(20, start=0.0) >> (cosine(20, end=0.0) >> cosine(20, end=1.0)).repeat(2)",
        num_updates=101,
        variant="several waves",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "transformers",
        "cosine_with_restarts",
        """get_scheduler(
    "cosine_with_restarts",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"num_cycles": 4},
)""",
        "linear(20, start=0.0) >> cosine(20, end=0.0).repeat(4)",
    ),
    Row(
        "transformers",
        "polynomial",
        """get_scheduler(
    "polynomial",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"lr_end": 1e-4, "power": 2.0},
)""",
        "linear(20, start=0.0) >> polynomial(80, end=1e-4 / 0.1, power=2.0)",
        note="Their ``lr_end`` is divided by the ``lr`` of the whole optimizer, 0.1 here.",
    ),
    Row(
        "transformers",
        "constant",
        'get_scheduler("constant", optimizer)',
        "constant(100)",
    ),
    Row(
        "transformers",
        "constant_with_warmup",
        'get_scheduler("constant_with_warmup", optimizer, num_warmup_steps=20)',
        "linear(20, start=0.0) >> constant(80)",
    ),
    Row(
        "transformers",
        "inverse_sqrt",
        'get_scheduler("inverse_sqrt", optimizer, num_warmup_steps=20)',
        "linear(20, start=0.0) >> inverse_sqrt(80, timescale=20)",
        num_updates=101,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "transformers",
        "cosine_with_min_lr",
        """get_scheduler(
    "cosine_with_min_lr",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"min_lr_rate": 0.1},
)""",
        "linear(20, start=0.0) >> cosine(80, end=0.1)",
        num_updates=101,
        note="Past the horizon theirs climbs again; ours stays down.",
    ),
    Row(
        "transformers",
        "cosine_warmup_with_min_lr",
        """get_scheduler(
    "cosine_warmup_with_min_lr",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"min_lr_rate": 0.1},
)""",
        "linear(19, start=1 / 20) >> cosine(80, end=0.1)",
        num_updates=100,
        note="Theirs is one update ahead: its warmup is over at update 19, its decay at update 99.",
    ),
    Row(
        "transformers",
        "cosine_warmup_with_min_lr",
        """get_scheduler(
    "cosine_warmup_with_min_lr",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"min_lr_rate": 0.1, "warmup_lr_rate": 0.3},
)""",
        "linear(19, start=0.3) >> cosine(80, end=0.1)",
        num_updates=100,
        variant="with a start",
    ),
    Row(
        "transformers",
        "warmup_stable_decay",
        """get_scheduler(
    "warmup_stable_decay",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={"num_decay_steps": 30},
)""",
        "linear(20, start=0.0) >> constant(50) >> cosine(30, end=0.0)",
    ),
    Row(
        "transformers",
        "warmup_stable_decay",
        """get_scheduler(
    "warmup_stable_decay",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={
        "num_decay_steps": 30,
        "warmup_type": "1-sqrt",
        "decay_type": "1-sqrt",
        "min_lr_ratio": 0.1,
    },
)""",
        "polynomial(20, start=0.1, power=0.5) >> constant(50) >> sqrt(30, end=0.1)",
        variant="1-sqrt",
    ),
    Row(
        "transformers",
        "warmup_stable_decay",
        """get_scheduler(
    "warmup_stable_decay",
    optimizer,
    num_warmup_steps=20,
    num_training_steps=100,
    scheduler_specific_kwargs={
        "num_decay_steps": 30,
        "warmup_type": "cosine",
        "decay_type": "linear",
        "min_lr_ratio": 0.1,
    },
)""",
        "cosine(20, start=0.1) >> constant(50) >> linear(30, end=0.1)",
        variant="cosine up, linear down",
    ),
)

OPTAX = (
    Row(
        "optax",
        "constant_schedule",
        "optax.constant_schedule(0.1)",
        "constant(100)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "linear_schedule",
        """optax.linear_schedule(
    init_value=0.1, end_value=0.001, transition_steps=70, transition_begin=30
)""",
        "constant(30) >> linear(70, end=absolute(0.001))",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "polynomial_schedule",
        """optax.polynomial_schedule(
    init_value=0.1, end_value=0.001, power=3, transition_steps=70, transition_begin=30
)""",
        "constant(30) >> polynomial(70, end=absolute(0.001), power=3.0)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "cosine_decay_schedule",
        "optax.cosine_decay_schedule(init_value=0.1, decay_steps=100, alpha=0.05)",
        "cosine(100, end=0.05)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "cosine_decay_schedule",
        """optax.cosine_decay_schedule(
    init_value=0.1, decay_steps=100, alpha=0.05, exponent=2.0
)""",
        "cosine(100, end=0.05, exponent=2.0)",
        bases=(0.1,),
        variant="squared",
    ),
    Row(
        "optax",
        "exponential_decay",
        """optax.exponential_decay(
    init_value=0.1, transition_steps=10, decay_rate=0.9, transition_begin=30
)""",
        "constant(30) >> exponential(70, end=0.9**7)",
        num_updates=101,
        bases=(0.1,),
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "optax",
        "exponential_decay",
        """optax.exponential_decay(
    init_value=0.1, transition_steps=10, decay_rate=0.9, staircase=True
)""",
        "constant(10).repeat(11, peak=0.9)",
        bases=(0.1,),
        variant="staircase",
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "optax",
        "exponential_decay",
        """optax.exponential_decay(
    init_value=0.1, transition_steps=10, decay_rate=0.9, end_value=0.05
)""",
        "exponential(66, end=0.9**6.6) >> constant(34, value=absolute(0.05))",
        bases=(0.1,),
        variant="down to an end",
        note="Their curve is cut off at ``end_value``: here at update 66.",
    ),
    Row(
        "optax",
        "warmup_constant_schedule",
        """optax.warmup_constant_schedule(
    init_value=0.01, peak_value=0.1, warmup_steps=30
)""",
        "linear(30, start=absolute(0.01)) >> constant(70)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "warmup_cosine_decay_schedule",
        """optax.warmup_cosine_decay_schedule(
    init_value=0.01, peak_value=0.1, warmup_steps=30, decay_steps=100, end_value=0.001
)""",
        "linear(30, start=absolute(0.01)) >> cosine(70, end=absolute(0.001))",
        bases=(0.1,),
        note="Their ``decay_steps`` includes the warmup.",
    ),
    Row(
        "optax",
        "warmup_exponential_decay_schedule",
        """optax.warmup_exponential_decay_schedule(
    init_value=0.01, peak_value=0.1, warmup_steps=30, transition_steps=10, decay_rate=0.8
)""",
        "linear(30, start=absolute(0.01)) >> exponential(70, end=0.8**7)",
        num_updates=101,
        bases=(0.1,),
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "optax",
        "linear_onecycle_schedule",
        "optax.linear_onecycle_schedule(transition_steps=100, peak_value=0.1)",
        "linear(30, start=1 / 25) >> linear(55, end=1 / 25) >> linear(15, end=1 / 25 / 1e4)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "cosine_onecycle_schedule",
        "optax.cosine_onecycle_schedule(transition_steps=100, peak_value=0.1)",
        "cosine(30, start=1 / 25) >> cosine(70, end=1 / 25 / 1e4)",
        bases=(0.1,),
    ),
    Row(
        "optax",
        "sgdr_schedule",
        """optax.sgdr_schedule(
    [
        {
            "init_value": 0.01,
            "peak_value": 0.1 * 0.5**i,
            "warmup_steps": 4 * 2**i,
            "decay_steps": 16 * 2**i,
            "end_value": 0.001,
        }
        for i in range(3)
    ]
)""",
        """(
    linear(4, start=absolute(0.01)) >> cosine(12, end=absolute(0.001))
).repeat(3, length=2.0, peak=0.5)""",
        num_updates=120,
        bases=(0.1,),
    ),
    Row(
        "optax",
        "join_schedules",
        """optax.join_schedules(
    [
        optax.linear_schedule(0.01, 0.1, 20),
        optax.constant_schedule(0.1),
        optax.polynomial_schedule(0.1, 0.0, power=2, transition_steps=30),
    ],
    boundaries=[20, 70],
)""",
        "linear(20, start=absolute(0.01)) >> constant(50) >> polynomial(30, end=0.0, power=2.0)",
        bases=(0.1,),
        cancels=True,
    ),
    Row(
        "optax",
        "piecewise_constant_schedule",
        """optax.piecewise_constant_schedule(
    init_value=0.1, boundaries_and_scales={30: 0.5, 60: 0.2}
)""",
        "milestones({30: 0.5, 60: 0.1})",
        bases=(0.1,),
        note="Their scales multiply up; our milestones are multiples of the base value.",
    ),
    Row(
        "optax",
        "piecewise_interpolate_schedule",
        """optax.piecewise_interpolate_schedule(
    "linear", init_value=0.1, boundaries_and_scales={30: 0.5, 90: 0.2}
)""",
        "linear(30, end=0.5) >> linear(60, end=0.1)",
        bases=(0.1,),
        variant="linear",
        note="Their scales multiply up; our ends are multiples of the base value.",
    ),
    Row(
        "optax",
        "piecewise_interpolate_schedule",
        """optax.piecewise_interpolate_schedule(
    "cosine", init_value=0.1, boundaries_and_scales={30: 0.5, 90: 0.2}
)""",
        "cosine(30, end=0.5) >> cosine(60, end=0.1)",
        bases=(0.1,),
        variant="cosine",
    ),
)

_PREFIX = "``warmup_prefix=True`` makes the decay start after the warmup, as ours does."

TIMM = (
    Row(
        "timm",
        "CosineLRScheduler",
        """CosineLRScheduler(
    optimizer,
    t_initial=90,
    lr_min=1e-4,
    warmup_t=10,
    warmup_lr_init=1e-5,
    warmup_prefix=True,
    t_in_epochs=False,
)""",
        "linear(10, start=absolute(1e-5)) >> cosine(90, end=absolute(1e-4))",
        note=_PREFIX,
    ),
    Row(
        "timm",
        "CosineLRScheduler",
        """CosineLRScheduler(
    optimizer,
    t_initial=20,
    lr_min=1e-4,
    cycle_mul=2.0,
    cycle_decay=0.5,
    cycle_limit=3,
    warmup_t=10,
    warmup_lr_init=1e-5,
    warmup_prefix=True,
    t_in_epochs=False,
)""",
        """linear(10, start=absolute(1e-5))
>> cosine(20, end=absolute(1e-4)).repeat(3, length=2.0, peak=0.5)""",
        num_updates=160,
        variant="cycles",
        note=_PREFIX,
    ),
    Row(
        "timm",
        "CosineLRScheduler",
        """CosineLRScheduler(
    optimizer, t_initial=100, lr_min=1e-4, k_decay=1.5, t_in_epochs=False
)""",
        "cosine(100, end=absolute(1e-4), k=1.5)",
        variant="k-decay",
    ),
    Row(
        "timm",
        "CosineLRScheduler",
        """CosineLRScheduler(
    optimizer,
    t_initial=100,
    lr_min=1e-4,
    warmup_t=10,
    warmup_lr_init=1e-5,
    t_in_epochs=False,
)""",
        """linear(10, start=absolute(1e-5)) * milestones({10: 0.0})
+ cosine(100, end=absolute(1e-4)) * milestones({0: 0.0, 10: 1.0})""",
        variant="without warmup_prefix",
        note="Without ``warmup_prefix`` their warmup hides the cosine's first updates, and the "
        "value drops where it ends. Factors of 0 and 1 choose between the two curves. Without the "
        "drop it is ``linear(10, start=absolute(1e-5)) >> cosine(90, end=absolute(1e-4))``.",
    ),
    Row(
        "timm",
        "CosineLRScheduler",
        "CosineLRScheduler(optimizer, t_initial=10)",
        "milestones({epochs(e): cosine(10)(e) for e in range(11)}).over(110, 10)",
        variant="stepped once an epoch",
        updates_per_epoch=10,
        note="``scheduler.step(epoch)`` changes the value once an epoch, here of 10 updates: a "
        "milestone at each. What is usually wanted is ``cosine(epochs(10))``, the same curve with "
        "a value for each update.",
    ),
    Row(
        "timm",
        "CosineLRScheduler",
        """CosineLRScheduler(
    optimizer,
    t_initial=90,
    lr_min=1e-4,
    warmup_t=10,
    warmup_lr_init=1e-5,
    warmup_prefix=True,
    t_in_epochs=False,
)""",
        "linear(10, start=1e-5 / 0.1) >> cosine(90, end=1e-4 / 0.1)",
        variant="groups with lr_scale",
        lr_scales=(1.0, 0.1),
        note="Layer-wise decay gives timm's groups an ``lr_scale``, by which every value is "
        "multiplied, floor and warmup too. Here each group has its own base value, "
        "``group['lr'] *= group.pop('lr_scale')`` before the scheduler is made, and all numbers "
        "are multiples of it, none ``absolute``.",
    ),
    Row(
        "timm",
        "TanhLRScheduler",
        """TanhLRScheduler(
    optimizer,
    t_initial=90,
    lb=-6.0,
    ub=4.0,
    warmup_t=10,
    warmup_lr_init=1e-5,
    warmup_prefix=True,
    t_in_epochs=False,
)""",
        """linear(10, start=absolute(1e-5))
>> tanh(
    90,
    start=(1 - math.tanh(-6.0)) / 2,
    end=(1 - math.tanh(4.0)) / 2,
    lower=-6.0,
    upper=4.0,
)
>> constant(0, value=0.0)""",
        note="Theirs cuts the tangent off at ``lb`` and ``ub``, so it starts below the base value, "
        "stops above ``lr_min`` and drops to it. Left alone, ours reaches both ends.",
    ),
    Row(
        "timm",
        "TanhLRScheduler",
        """TanhLRScheduler(
    optimizer,
    t_initial=20,
    cycle_mul=2.0,
    cycle_decay=0.5,
    cycle_limit=3,
    t_in_epochs=False,
)""",
        """tanh(
    20,
    start=(1 - math.tanh(-7.0)) / 2,
    end=(1 - math.tanh(3.0)) / 2,
    lower=-7.0,
    upper=3.0,
).repeat(3, length=2.0)
* constant(20).repeat(3, length=2.0, peak=0.5)
>> constant(0, value=0.0)""",
        num_updates=150,
        variant="cycles",
        note="Their decay shrinks the end of each cycle, too: a product with a staircase. Until "
        "theirs is told of update 0, the base value itself is in force.",
    ),
    Row(
        "timm",
        "PolyLRScheduler",
        """PolyLRScheduler(
    optimizer,
    t_initial=90,
    power=2.0,
    lr_min=1e-4,
    warmup_t=10,
    warmup_lr_init=1e-5,
    warmup_prefix=True,
    t_in_epochs=False,
)""",
        "linear(10, start=absolute(1e-5)) >> polynomial(90, end=absolute(1e-4), power=2.0)",
        note=_PREFIX,
    ),
    Row(
        "timm",
        "PolyLRScheduler",
        """PolyLRScheduler(
    optimizer,
    t_initial=20,
    power=0.5,
    lr_min=1e-4,
    cycle_mul=2.0,
    cycle_decay=0.5,
    cycle_limit=3,
    t_in_epochs=False,
)""",
        "polynomial(20, end=absolute(1e-4), power=0.5).repeat(3, length=2.0, peak=0.5)",
        num_updates=150,
        variant="cycles",
    ),
    Row(
        "timm",
        "StepLRScheduler",
        """StepLRScheduler(
    optimizer,
    decay_t=30,
    decay_rate=0.1,
    warmup_t=10,
    warmup_lr_init=1e-5,
    t_in_epochs=False,
)""",
        "linear(10, start=absolute(1e-5)) >> constant(30).repeat(4, peak=0.1)",
        num_updates=130,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "timm",
        "MultiStepLRScheduler",
        """MultiStepLRScheduler(
    optimizer, decay_t=[30, 80], decay_rate=0.1, t_in_epochs=False
)""",
        "milestones({29: 0.1, 79: 0.01})",
        note="Theirs decays one update before each milestone.",
    ),
    Row(
        "timm",
        "WSDLRScheduler",
        """WSDLRScheduler(
    optimizer,
    t_initial=90,
    decay_t=30,
    lr_min=1e-4,
    warmup_t=10,
    warmup_lr_init=1e-5,
    t_in_epochs=False,
)""",
        """linear(10, start=absolute(1e-5))
>> constant(60)
>> sqrt(30, end=absolute(1e-4))""",
    ),
    Row(
        "timm",
        "WSDLRScheduler",
        """WSDLRScheduler(
    optimizer,
    t_initial=90,
    decay_t=30,
    stable_fn="rsqrt",
    decay_fn="linear",
    warmup_t=10,
    t_in_epochs=False,
)""",
        """linear(10, start=0.0)
>> inverse_sqrt(90, timescale=10) * (constant(60) >> linear(30, end=0.0))""",
        variant="rsqrt",
    ),
)

IGNITE = (
    Row(
        "ignite",
        "PiecewiseLinear",
        """PiecewiseLinear(
    optimizer,
    "lr",
    milestones_values=[(10, 0.5), (40, 0.45), (41, 0.3), (70, 0.1), (90, 0.1)],
)""",
        """constant(10, value=absolute(0.5))
>> linear(30, end=absolute(0.45))
>> linear(1, end=absolute(0.3))
>> linear(29, end=absolute(0.1))
>> constant(20)""",
        note=_ABSOLUTE,
    ),
    Row(
        "ignite",
        "ConcatScheduler",
        """ConcatScheduler(
    [
        LinearCyclicalScheduler(optimizer, "lr", 0.1, 0.5, cycle_size=60),
        CosineAnnealingScheduler(optimizer, "lr", 0.5, 0.01, cycle_size=70),
    ],
    durations=[30],
)""",
        "linear(30, start=absolute(0.1), end=absolute(0.5)) >> cosine(70, end=absolute(0.01))",
        num_updates=100,
        note=_ABSOLUTE + " Theirs begins another cycle at the end.",
    ),
    Row(
        "ignite",
        "LinearCyclicalScheduler",
        'LinearCyclicalScheduler(optimizer, "lr", 0.1, 0.5, cycle_size=40)',
        """(
    linear(20, start=absolute(0.1), end=absolute(0.5))
    >> linear(20, end=absolute(0.1))
).repeat(3)""",
        num_updates=120,
        note=_ABSOLUTE + " " + _NOT_PAST_THE_END,
    ),
    Row(
        "ignite",
        "CosineAnnealingScheduler",
        'CosineAnnealingScheduler(optimizer, "lr", 0.5, 0.01, cycle_size=40)',
        "cosine(40, start=absolute(0.5), end=absolute(0.01)).repeat(3)",
        num_updates=120,
        note=_ABSOLUTE + " " + _NOT_PAST_THE_END,
    ),
)

_MAX_LR = "The base value is the group's ``max_lr``."

OLMO = (
    Row(
        "olmo-core",
        "ConstantWithWarmup",
        "ConstantWithWarmup(warmup_steps=20)",
        "linear(20, start=0.0) >> constant(80)",
    ),
    Row(
        "olmo-core",
        "WSD",
        "WSD(warmup_steps=20, decay_steps=30, max_steps=100)",
        "linear(20, start=0.0) >> constant(50) >> linear(30, end=0.0)",
        note="Theirs is told ``max_steps`` when it is asked; so it is in the next rows.",
    ),
    Row(
        "olmo-core",
        "LinearWithWarmup",
        "LinearWithWarmup(warmup_steps=20, alpha_f=0.1, t_max=100)",
        "linear(20, start=0.0) >> linear(80, end=0.1)",
    ),
    Row(
        "olmo-core",
        "InvSqrtWithWarmup",
        "InvSqrtWithWarmup(warmup_steps=20, alpha_f=0.1)",
        """linear(20, start=0.0)
>> constant(80, value=0.1) + 0.9 * inverse_sqrt(80, timescale=20)""",
        num_updates=101,
        note=_NOT_PAST_THE_END,
    ),
    Row(
        "olmo-core",
        "CosWithWarmup",
        "CosWithWarmup(warmup_steps=20, alpha_f=0.1, t_max=100)",
        "linear(20, start=0.0) >> cosine(80, end=0.1)",
    ),
    Row(
        "olmo-core",
        "CosWithWarmupAndLinearDecay",
        """CosWithWarmupAndLinearDecay(
    warmup_steps=20, alpha_f=0.1, decay_steps=30, max_steps=100
)""",
        "(linear(20, start=0.0) >> cosine(80, end=0.1)).until(70) >> linear(30, end=0.0)",
        note="The cosine is cut short, and the decay leads on from where it was.",
    ),
    Row(
        "olmo-core",
        "SequentialScheduler",
        """SequentialScheduler(
    schedulers=[
        CosWithWarmup(warmup_steps=20, alpha_f=0.5, t_max=60),
        WSD(warmup_steps=10, decay_steps=10, max_steps=40),
    ],
    schedulers_max_steps=[60],
)""",
        """linear(20, start=0.0) >> cosine(40, end=0.5) >> constant(1)
>> 0.5 * (linear(9, start=0.1) >> constant(20) >> linear(10, end=0.0))""",
        note="At their joint, both begin and end count: the next one's update 0 is left out.",
    ),
)

MEGATRON = (
    Row(
        "megatron",
        "linear",
        """OptimizerParamScheduler(
    min_lr=0.001, lr_warmup_steps=20, lr_decay_steps=100, lr_decay_style="linear"
)""",
        "linear(20, start=0.0) >> linear(80, end=absolute(0.001))",
        note=_MAX_LR,
    ),
    Row(
        "megatron",
        "cosine",
        """OptimizerParamScheduler(
    min_lr=0.001, lr_warmup_steps=20, lr_decay_steps=100, lr_decay_style="cosine"
)""",
        "linear(20, start=0.0) >> cosine(80, end=absolute(0.001))",
        note=_MAX_LR,
    ),
    Row(
        "megatron",
        "inverse-square-root",
        """OptimizerParamScheduler(
    min_lr=0.05,
    lr_warmup_steps=20,
    lr_decay_steps=100,
    lr_decay_style="inverse-square-root",
)""",
        "linear(20, start=0.0) >> maximum(inverse_sqrt(80, timescale=20), 0.5)",
        bases=(0.1,),
        note=_MAX_LR + " The floor is a multiple of it, as the curve is.",
    ),
    *(
        Row(
            "megatron",
            "WSD",
            f"""OptimizerParamScheduler(
    min_lr=0.0,
    lr_warmup_steps=20,
    lr_decay_steps=100,
    lr_decay_style="WSD",
    wsd_decay_steps=30,
    lr_wsd_decay_style="{style}",
)""",
            f"linear(20, start=0.0) >> constant(50) >> {decay}",
            variant=style,
            cancels=style == "minus_sqrt",
        )
        for style, decay in (
            ("linear", "linear(30, end=0.0)"),
            ("cosine", "cosine(30, end=0.0)"),
            ("minus_sqrt", "sqrt(30, end=0.0)"),
            ("exponential", "2.0 * exponential(30, end=0.5) + constant(30, value=-1.0)"),
        )
    ),
    *(
        Row(
            "megatron",
            "weight decay",
            f"""OptimizerParamScheduler(
    start_wd=0.01, end_wd=0.1, wd_incr_steps=100, wd_incr_style="{style}"
)""",
            f"{style}(100, start=absolute(0.01), end=absolute(0.1))",
            field="weight_decay",
            variant=style,
        )
        for style in ("linear", "cosine")
    ),
)

LEVANTER = (
    Row(
        "levanter",
        "cycles",
        """AdamConfig(
    warmup=10, cycles=3, rewarmup=5, decay=15, lr_schedule="linear"
).lr_scheduler(90)""",
        """linear(10, start=0.0) >> constant(5) >> linear(15, end=0.1)
>> (
    linear(5, start=0.1, end=1.0) >> constant(10) >> linear(15, end=0.1)
).repeat(2)""",
        num_updates=91,
    ),
    Row(
        "levanter",
        "cycles",
        """AdamConfig(
    warmup=10, cycles=3, rewarmup=10, cooldown=20, lr_schedule="linear"
).lr_scheduler(110)""",
        """linear(10, start=0.0) >> linear(20, end=0.1)
>> (linear(10, start=0.1, end=1.0) >> linear(20, end=0.1)).repeat(2)
>> constant(20)""",
        num_updates=111,
        variant="with a cooldown",
    ),
    Row(
        "levanter",
        "power",
        """AdamConfig(
    warmup=10,
    cooldown=20,
    lr_schedule=PowerLrSchedule(batch_size=1, seq_length=1, a=0.3, b=-0.51),
).lr_scheduler(100)""",
        """linear(10, start=0.0)
>> constant(1)
>> minimum(3.0 * power_law(69, timescale=1, exponent=-0.51), 1.0)
>> linear(20, end=0.1)""",
        bases=(0.1,),
        variant="with a cooldown",
        note="The law n^-0.51 begins at n = 1, as a ``power_law`` with a timescale of 1 does, and "
        "``minimum`` keeps it under the base value.",
    ),
)

_ENDS_EARLY = "Theirs leaves the value of update ``end - 1``: a plan that is cut there."

MMENGINE = (
    Row(
        "mmengine",
        "LinearLR",
        '[dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=20)]',
        "linear(19, start=0.1)",
        note="Of 20 updates, the last is update 19.",
    ),
    Row(
        "mmengine",
        "CosineAnnealingLR",
        """[
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=20),
    dict(
        type="CosineAnnealingLR",
        T_max=80,
        eta_min=1e-4,
        by_epoch=False,
        begin=20,
        end=100,
    ),
]""",
        "(linear(19, start=0.1) >> constant(1) >> cosine(80, end=absolute(1e-4))).until(99)",
        variant="after a warmup",
        note=_ENDS_EARLY,
    ),
    Row(
        "mmengine",
        "PolyLR",
        """[
    dict(type="PolyLR", power=0.9, eta_min=1e-4, by_epoch=False, begin=20, end=100)
]""",
        "constant(20) >> polynomial(79, end=absolute(1e-4), power=0.9)",
    ),
    Row(
        "mmengine",
        "CosineRestartLR",
        """[
    dict(
        type="CosineRestartLR",
        periods=[20, 40],
        restart_weights=[1, 0.5],
        eta_min=1e-4,
        by_epoch=False,
    )
]""",
        """(
    cosine(20, end=absolute(1e-4)) >> cosine(40, start=0.5, end=absolute(1e-4))
).until(59)""",
        note="Theirs leaves the value of its last update: a plan that is cut there.",
    ),
    Row(
        "mmengine",
        "LinearMomentum",
        '[dict(type="LinearMomentum", start_factor=0.9, by_epoch=False, end=50)]',
        "linear(49, start=0.9)",
        bases=(0.95, 0.9),
        field="momentum",
    ),
    Row(
        "mmengine",
        "PolyMomentum",
        '[dict(type="PolyMomentum", power=2.0, eta_min=0.85, by_epoch=False, end=100)]',
        "polynomial(99, end=absolute(0.85), power=2.0)",
        bases=(0.95, 0.9),
        field="momentum",
    ),
)

KERAS = (
    Row(
        "keras",
        "PolynomialDecay",
        """PolynomialDecay(
    initial_learning_rate=0.1,
    decay_steps=20,
    end_learning_rate=0.001,
    power=2.0,
    cycle=True,
)""",
        """constant(0, value=absolute(0.001))
+ 0.99
* (
    constant(1)
    >> (polynomial(19, start=0.95**2, power=2.0, end=0.0) >> constant(1)).repeat(5)
    * milestones({20 * i: 1 / (i + 1) ** 2 for i in range(5)})
)""",
        num_updates=101,
        bases=(0.1,),
        variant="cycle=True",
        note="Cycle i begins at 1 / i² of the height, and has its end at the very update at which "
        "a plain ``repeat`` begins anew: so the first update stands by itself, and a cycle begins "
        "one later. " + _NOT_PAST_THE_END,
    ),
)

_RATIO = "``scale_schedule_ratio`` stretches all times"

COMPOSER = (
    Row(
        "composer",
        "MultiStepScheduler",
        """Trainer(
    schedulers=MultiStepScheduler(["30ba", "60ba"], gamma=0.1),
    scale_schedule_ratio=1.5,
)""",
        "milestones({30: 0.1, 60: 0.01}).stretched(1.5)",
        note=_RATIO + ".",
    ),
    Row(
        "composer",
        "CosineAnnealingWarmRestartsScheduler",
        """Trainer(
    schedulers=CosineAnnealingWarmRestartsScheduler("20ba"),
    scale_schedule_ratio=1.5,
)""",
        "cosine(20, end=0.0).repeat().stretched(1.5)",
        note=_RATIO + ".",
    ),
    Row(
        "composer",
        "CosineAnnealingWithWarmupScheduler",
        """Trainer(
    schedulers=CosineAnnealingWithWarmupScheduler("20ba", "100ba", alpha_f=0.1),
    scale_schedule_ratio=0.5,
)""",
        "warmup_cosine(100 * 0.5, warmup=20, end=0.1)",
        note=_RATIO + " but the warmup's. ``warmup_cosine(100, warmup=20).stretched(0.5)`` is half "
        "as long in both parts.",
    ),
)

ROWS = (
    *(*TORCH, *TRANSFORMERS, *OPTAX, *TIMM, *IGNITE),
    *(*OLMO, *MEGATRON, *LEVANTER, *MMENGINE, *KERAS, *COMPOSER),
)
