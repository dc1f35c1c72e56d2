"""Schedules of public runs beside one line of ours; the page "Recipes of 2026" is made of these.

Theirs is a formula of update k and the base value, written down from what the source says.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.table import Row


@dataclass(frozen=True)
class Recipe(Row):
    """A row whose other side is a formula.

    Attributes:
        source: Where it is from, as reStructuredText.
        tolerance: The largest difference allowed, as a share of the base value.
    """

    source: str = ""
    tolerance: float = 1e-12


_NANOCHAT = (
    "`karpathy/nanochat <https://github.com/karpathy/nanochat>`__, ``scripts/base_train.py``"
)
_MODDED = (
    "`KellerJordan/modded-nanogpt <https://github.com/KellerJordan/modded-nanogpt>`__, "
    "``train_gpt.py``"
)
_RESEARCH = "`karpathy/autoresearch <https://github.com/karpathy/autoresearch>`__, ``train.py``"
_OLMO = (
    "`allenai/OLMo-core <https://github.com/allenai/OLMo-core>`__, ``olmo_core/optim/scheduler.py``"
)
_ADEMAMIX = (
    "`apple/ml-ademamix <https://github.com/apple/ml-ademamix>`__, "
    "`arXiv:2409.03137 <https://arxiv.org/abs/2409.03137>`__"
)

RECIPES = (
    Recipe(
        "formula",
        "nanochat, learning rate",
        """lambda k, base: base * (
    (k + 1) / 40 if k < 40
    else 1.0 if k <= 490
    else 1.0 - 0.95 * (k - 490) / 910
)""",
        "(linear(39, start=1 / 40) >> constant() >> linear(0.65, end=0.05)).over(1_400)",
        num_updates=1_401,
        bases=(0.02, 0.3),
        source=_NANOCHAT,
        note="The first of the 40 warmup updates already moves; the last 65 % fall to 5 %.",
    ),
    Recipe(
        "formula",
        "nanochat, Muon's momentum",
        """lambda k, base: (
    0.85 + 0.12 * k / 400 if k < 400
    else 0.97 if k < 490
    else 0.97 - 0.07 * (k - 490) / 910
)""",
        """(
    linear(400, start=absolute(0.85), end=absolute(0.97))
    >> constant()
    >> linear(0.65, end=absolute(0.9))
).over(1_400)""",
        num_updates=1_401,
        bases=(0.95,),
        field="momentum",
        source=_NANOCHAT,
        note="It falls while the learning rate does.",
    ),
    Recipe(
        "formula",
        "nanochat, Muon's weight decay",
        "lambda k, base: base * (1 + math.cos(math.pi * k / 1_400)) / 2",
        "cosine(1_400, end=0.0)",
        num_updates=1_401,
        bases=(0.28,),
        field="weight_decay",
        source=_NANOCHAT,
    ),
    Recipe(
        "formula",
        "modded-nanogpt, learning rate",
        """lambda k, base: base * (
    (1.0 if k < 500 else 1.52 if k < 1_000 else 1.73)
    * (1.0 - max(0, k - 675) / 825)
    + 0.15 * max(0, k - 675) / 825
)""",
        """milestones({500: 1.52, 1_000: 1.73}) * (constant(675) >> linear(825, end=0.0))
+ 0.15 * (constant(675, value=0.0) >> linear(825, end=1.0))""",
        num_updates=1_501,
        bases=(0.023, 0.008),
        source=_MODDED,
        note="The rate is higher in the second and last third, where batches are larger; the last "
        "55 % fall to 15 % of the base.",
    ),
    Recipe(
        "formula",
        "modded-nanogpt, Muon's momentum",
        """lambda k, base: (
    0.85 + 0.1 * k / 300 if k < 300
    else 0.95 - 0.1 * max(0, k - 1_450) / 50
)""",
        """(
    linear(300, start=absolute(0.85), end=absolute(0.95))
    >> constant()
    >> linear(50, end=absolute(0.85))
).over(1_500)""",
        num_updates=1_501,
        bases=(0.95,),
        field="momentum",
        source=_MODDED,
    ),
    Recipe(
        "formula",
        "autoresearch, learning rate over a budget of five minutes",
        "lambda k, base: base * min(1.0, (1.0 - k / 300) / 0.5)",
        "(constant() >> linear(0.5, end=0.0)).over(300)",
        num_updates=301,
        bases=(0.04, 0.6),
        source=_RESEARCH,
        note="Here k is seconds, not updates: ``ParamScheduler(optimizer, lr=plan, "
        'clock="seconds")``, as in the task about budgets. Theirs does not count the first 11 '
        "updates, in which the model is compiled. Muon's weight decay falls along the whole "
        "budget, ``linear(end=0.0)``; its momentum rises from 0.85 to 0.95 in 300 updates.",
    ),
    Recipe(
        "formula",
        "torchtitan, Llama 3 8B",
        """lambda k, base: base * (
    (k + 1) / 200 if k < 200
    else min(1.0, 1.0 - (k - 200) / 800)
)""",
        "linear(199, start=1 / 200) >> constant(1) >> linear(800, end=0.0)",
        num_updates=1_001,
        bases=(3e-4,),
        source="`pytorch/torchtitan <https://github.com/pytorch/torchtitan>`__, the configuration "
        "of Llama 3 8B and ``components/lr_scheduler.py``",
        note="Two updates run at the top, so that the last of the 1,000 is not at zero.",
    ),
    Recipe(
        "formula",
        "OLMo-core, WSD-S with three checkpoints",
        """lambda k, base: base * (
    k / 100 if k < 100
    else min(1.0, min(e - k for e in (500, 1_000, 2_000) if e >= k) / (50 if k <= 1_000 else 100))
)""",
        """linear(100, start=0.0) >> constant(350) >> linear(50, end=0.0)
>> constant(1) >> constant(449, value=1.0) >> linear(50, end=0.0)
>> constant(1) >> constant(899, value=1.0) >> linear(100, end=0.0)""",
        num_updates=2_001,
        bases=(3e-4,),
        source=_OLMO + "; `arXiv:2410.05192 <https://arxiv.org/abs/2410.05192>`__",
        note="Periods of 500, 500 and 1,000 updates, of which the last tenth decays. The rate is "
        "zero at exactly the update of the checkpoint, and back at the top at the next.",
    ),
    Recipe(
        "formula",
        "OLMo-core, power law with a linear tail",
        """lambda k, base: base * (
    k / 100 if k <= 100
    else (k / 100) ** -0.51 if k < 900
    else 9.0 ** -0.51 * (1_000 - k) / 100
)""",
        """linear(100, start=0.0) >> power_law(800, timescale=100, exponent=-0.51)
>> linear(100, end=0.0)""",
        num_updates=1_001,
        bases=(3e-4,),
        source=_OLMO,
        note="The exponent and a tail of a tenth are its ``PowerLR``'s defaults.",
    ),
    Recipe(
        "formula",
        "Megatron-LM, WSD with minus_sqrt",
        """lambda k, base: (
    base * k / 100 if k <= 100
    else base if k <= 900
    else 0.1 * base + 0.9 * base * (1.0 - math.sqrt((k - 900) / 100))
)""",
        "linear(100, start=0.0) >> constant(800) >> sqrt(100, end=0.1)",
        num_updates=1_001,
        bases=(3e-4,),
        source="`NVIDIA/Megatron-LM <https://github.com/NVIDIA/Megatron-LM>`__, "
        "``megatron/core/optimizer_param_scheduler.py``",
    ),
    Recipe(
        "formula",
        "DeepSeek LLM, learning rate in steps",
        """lambda k, base: base * (
    k / 2_000 if k < 2_000
    else 1.0 if k < 3_200
    else 0.316 if k < 3_600
    else 0.1
)""",
        """(
    linear(2_000, start=0.0) >> constant() >> constant(0.1, value=0.316) >> constant(0.1, value=0.1)
).over(4_000)""",
        num_updates=4_001,
        bases=(4.2e-4,),
        source="`deepseek-ai/DeepSeek-LLM <https://github.com/deepseek-ai/DeepSeek-LLM>`__, "
        "``README.md``; `arXiv:2401.02954 <https://arxiv.org/abs/2401.02954>`__",
        note="Of 2 trillion tokens, 31.6 % of the top from 1.6 trillion on, and a tenth from 1.8 "
        "trillion on. The base is that of the 7B model; the warmup has 2,000 updates of many more "
        "than in this picture.",
    ),
    Recipe(
        "formula",
        "AdEMAMix, alpha",
        "lambda k, base: base * min(1.0, k / 1_000)",
        "linear(1_000, start=0.0)",
        num_updates=1_101,
        bases=(5.0,),
        field="alpha",
        source=_ADEMAMIX,
    ),
    Recipe(
        "formula",
        "AdEMAMix, beta3",
        """lambda k, base: 0.9999 if k >= 1_000 else 0.5 ** (1.0 / (
    (1.0 - k / 1_000) * math.log(0.5) / math.log(0.9 + 1e-8)
    + k / 1_000 * math.log(0.5) / math.log(0.9999 + 1e-8)
))""",
        "half_life(1_000, start=absolute(0.9), end=absolute(0.9999))",
        num_updates=1_101,
        bases=(0.9999,),
        field="slow_beta",
        tolerance=3e-6,
        source=_ADEMAMIX,
        note="Theirs adds 1e-8 to the betas in the logarithm, which is the whole difference. "
        "Where an optimizer has three ``betas``, the field is ``beta3``.",
    ),
    Recipe(
        "formula",
        "AdamC, weight decay along the learning rate",
        """lambda k, base: base * (
    k / 50 if k < 50
    else (1.0 + math.cos(math.pi * (k - 50) / 950)) / 2
)""",
        "warmup_cosine(1_000, warmup=50)",
        num_updates=1_001,
        bases=(0.1,),
        field="weight_decay",
        source="Defazio, `arXiv:2506.02285 <https://arxiv.org/abs/2506.02285>`__",
        note="In layers that are normalized, and only there, rate² / highest rate takes the "
        "place of the rate as the factor of the decay. AdamW multiplies by the rate itself, so the "
        "rest is the rate's own schedule once more, for a group that has these layers' weights: "
        '``ParamScheduler(optimizer, lr=plan, weight_decay={"normalized": plan})``.',
    ),
    Recipe(
        "formula",
        "Karras et al., decay of an average of weights",
        "lambda k, base: (1.0 - 1.0 / (k + 1)) ** 7.94",
        "ema_power(6.94)",
        num_updates=1_000,
        bases=(0.999,),
        field="decay",
        source="`arXiv:2312.02696 <https://arxiv.org/abs/2312.02696>`__",
        note="The average's width is 10 % of the run, however long that is.",
    ),
    Recipe(
        "formula",
        "Power scheduler, learning rate",
        "lambda k, base: base * (k / 100 if k < 100 else (k / 100) ** -0.51)",
        "linear(100, start=0.0) >> power_law(900, timescale=100, exponent=-0.51)",
        num_updates=1_001,
        bases=(0.02,),
        source="`arXiv:2408.13359 <https://arxiv.org/abs/2408.13359>`__",
        note="The exponent is the paper's. No horizon is needed; here is one for the picture.",
    ),
    Recipe(
        "formula",
        "timm, DeiT in epochs",
        """lambda k, base: (
    1e-6 if k == 0
    else 1e-6 + (base - 1e-6) * (k - 1) / 5 if k < 6
    else 1e-5 + (base - 1e-5) * (1.0 + math.cos(math.pi * (k - 1) / 300)) / 2
)""",
        """constant(1, value=absolute(1e-6))
>> linear(5, start=absolute(1e-6)) * milestones({5: 0.0})
+ cosine(300, end=absolute(1e-5)) * milestones({0: 0.0, 5: 1.0})""",
        num_updates=302,
        bases=(1e-3,),
        source="`facebookresearch/deit <https://github.com/facebookresearch/deit>`__, "
        "``main.py``, with timm's cosine; `arXiv:2012.12877 <https://arxiv.org/abs/2012.12877>`__",
        note="Here k is epochs, of which the run makes 300, and the base is for 1,024 images a "
        "batch. It is told of an epoch after that has ended, so each runs with the value of the "
        "one before, and the first two with the same. The cosine runs under the warmup, which "
        "hides its beginning. Without all that, and in each update, it is ``linear(epochs(5), "
        "start=absolute(1e-6)) >> cosine(end=absolute(1e-5))``.",
    ),
    Recipe(
        "formula",
        "One cycle, for finetuning",
        """lambda k, base: base * (
    1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * k / 299)) / 2 if k <= 299
    else 4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * (k - 299) / 700)) / 2
)""",
        "one_cycle(999, warmup=299)",
        num_updates=1_000,
        bases=(1e-3,),
        source="`arXiv:1708.07120 <https://arxiv.org/abs/1708.07120>`__ with the lengths of "
        "PyTorch's OneCycleLR",
        note="PyTorch's 1,000 steps end on update 999.",
    ),
)
