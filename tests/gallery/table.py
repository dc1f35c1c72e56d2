"""Failures that users of schedulers and trainers have met; the page about them is made of this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One failure.

    ``reports`` are ``owner/project#issue`` or ``owner/project!pull-request``; ``peers`` are the
    libraries of the test environment that a test marked ``peer`` shows to fail.
    """

    id: str
    symptom: str
    where: str
    here: str
    reports: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()


_EARLIER = "earlier pytorch-accelerated"

ROWS = (
    Row(
        "F01",
        "Restoring a sequence by its count starts the first member again; all later values are "
        "too low.",
        "PyTorch's SequentialLR",
        "A count alone restores every composition: the schedule is a function of the count.",
        ("pytorch/pytorch#162591",),
        ("pytorch",),
    ),
    Row(
        "F03",
        "A warmup made after the optimizer was restored scales the restored rate, for good.",
        "PyTorch, mmengine",
        "Optimizer and scheduler may be made and restored in any order.",
        ("open-mmlab/mmengine#1542", "torch-points3d/torch-points3d!630"),
        ("pytorch",),
    ),
    Row(
        "F04",
        "After loading, the scheduler reports one value and the optimizer holds another.",
        f"PyTorch, {_EARLIER}",
        "Loading a state puts its value in force; what is reported is what the optimizer holds.",
        ("pytorch/pytorch#29697", "facebookresearch/deit#145"),
        ("pytorch",),
    ),
    Row(
        "F05",
        "The saved state overwrites the new, longer horizon, so the rate climbs again or the run "
        "fails.",
        "PyTorch, Lightning, Ignite",
        "A state is a position. The plan given now counts, and a warning names both plans, and "
        "both values where they differ.",
        ("deepinsight/insightface!2143", "nodefluxio/vortex#70"),
        ("pytorch", "lightning", "ignite"),
    ),
    Row(
        "F06",
        "A schedule that is a function is saved as nothing; another one takes over unnoticed.",
        "PyTorch, Transformers",
        "The state has the name of the function and the values in force. Another name, or another "
        "value at the position, is reported; an equal function resumes exactly.",
        ("huggingface/transformers#21689", "pytorch/pytorch!9927"),
        ("pytorch", "transformers"),
    ),
    Row(
        "F07",
        "A group that is added later gets a multiple of its rate, none at all, or an opaque error.",
        f"PyTorch, timm, {_EARLIER}",
        "From the scheduler's next call on it has the same shape over its own base value; "
        "``scheduler.step(scheduler.num_updates)`` makes that call at once.",
        (
            "pytorch/pytorch#79888",
            "pytorch/pytorch#62475",
            "Lightning-Universe/lightning-flash#1321",
        ),
        ("pytorch", "timm"),
    ),
    Row(
        "F08",
        "The last call of a one-cycle schedule lifts the rate by orders of magnitude.",
        "PyTorch",
        "The floor is in force after the last update, and from then on.",
        ("pytorch/pytorch#91765",),
        ("pytorch",),
    ),
    Row(
        "F09",
        "One call past the end raises, and ends the run.",
        "PyTorch",
        "Past the horizon the last value holds, without an error.",
        ("pytorch/pytorch#38170", "huggingface/accelerate!385"),
        ("pytorch",),
    ),
    Row(
        "F10",
        "A cosine climbs back to its base after its end.",
        "PyTorch, Transformers",
        "It stays at its floor; restarts are asked for with ``repeat``.",
        ("Tencent-Hunyuan/UniRL!223",),
        ("pytorch", "transformers"),
    ),
    Row(
        "F11",
        "Values come from the previous value, so that one edit by hand bends the rest of the run.",
        "PyTorch",
        "A value depends on the count only. An edited one is replaced, and a warning says so.",
        ("pytorch/pytorch#20086", "pytorch/pytorch#49885", "pytorch/pytorch#152081"),
        ("pytorch",),
    ),
    Row(
        "F13",
        "A cyclic schedule gives all groups one rate, and sets betas that nobody asked it to.",
        "PyTorch",
        "Only the fields that were asked for change, and groups keep their ratio.",
        ("Lightning-AI/pytorch-lightning#4983",),
        ("pytorch",),
    ),
    Row(
        "F14",
        "A rate that was changed between two schedulers is ignored, or the base is taken twice.",
        f"PyTorch, timm, DeepSpeed, {_EARLIER}",
        "Making a scheduler twice is making it once; a rate changed in between is reported.",
        ("pytorch/pytorch#21965",),
        ("pytorch", "timm"),
    ),
    Row(
        "F15",
        "Updates that the gradient scaler skips use up the schedule, with a misleading warning.",
        "PyTorch",
        "A scheduler counts its ``step()`` calls: with the :doc:`recipe <guides/pytorch>` for your "
        "own loop only real updates count. The Trainer and Accelerate's recipe do so themselves.",
        (
            "pytorch/pytorch#44511",
            "huggingface/transformers#11106",
            "Lightning-AI/pytorch-lightning#21339",
        ),
        ("pytorch",),
    ),
    Row(
        "F16",
        "No scheduler can be made once ``optimizer.step`` is compiled or wrapped.",
        "PyTorch",
        "``step`` is never looked at, and nothing is patched.",
        ("meta-pytorch/torchtune#2263", "meta-pytorch/torchtune!2681"),
        ("pytorch",),
    ),
    Row(
        "F17",
        "A new value makes a compiled update compile again.",
        "PyTorch, in part",
        "One graph with tensors in the fields, at most two with floats.",
        ("pytorch/pytorch#133898", "pytorch/pytorch#130467", "pytorch/pytorch#107076"),
        ("pytorch",),
    ),
    Row(
        "F18",
        "Optimizers stay alive through cycles and caches.",
        f"PyTorch, {_EARLIER}",
        "No cycle and no cache: an optimizer is freed with its last user, without the collector.",
        ("pytorch/pytorch#47589", "pytorch/pytorch#85410", "pytorch/pytorch#25605"),
    ),
    Row(
        "F19",
        "Reductions on a plateau cannot follow a warmup in one sequence.",
        "PyTorch",
        "``PlateauLrScheduler`` takes a warmup, and the metric in the same object.",
        ("pytorch/pytorch#68978",),
        ("pytorch",),
    ),
    Row(
        "F20",
        "Nothing schedules weight decay, momentum or a field of one's own.",
        "PyTorch, optax, AllenNLP",
        "The same schedules drive every numeric field, and the entries of a tuple.",
        (
            "pytorch/pytorch#22343",
            "pytorch/pytorch#7342",
            "pytorch/pytorch#53718",
            "allenai/allennlp#2334",
            "google-deepmind/optax#1426",
        ),
        ("pytorch",),
    ),
    Row(
        "F21",
        "No group can have a schedule of its own.",
        "PyTorch",
        "A schedule for each group, by name or index, in one scheduler.",
        (
            "pytorch/pytorch#67761",
            "pytorch/pytorch#63488",
            "pytorch/pytorch!159873",
            "Lightning-AI/pytorch-lightning#4983",
        ),
        ("pytorch",),
    ),
    Row(
        "F22",
        "A rate that is a tensor is replaced, so compiled and captured updates go stale.",
        f"timm, mmengine, Ignite, {_EARLIER}; mended in PyTorch",
        "The tensor stays the tensor that it is, and is filled in place.",
        ("pytorch/pytorch#163103", "pytorch/pytorch#162359", "pytorch/pytorch#163093"),
        ("ignite", "timm"),
    ),
    Row(
        "F23",
        "The cosine has run on under the warmup: the base value is never reached.",
        "timm, Swin Transformer",
        "The cosine starts where the warmup ends, at the base value.",
        ("microsoft/Swin-Transformer!278",),
        ("timm",),
    ),
    Row(
        "F24",
        "Milestones come one epoch early.",
        "timm",
        "A milestone is the first update that runs with the new value.",
        ("huggingface/pytorch-image-models!2753", "huggingface/pytorch-image-models!2745"),
        ("timm",),
    ),
    Row(
        "F26",
        "On several processes the schedule runs out early: it is stepped once for each process.",
        "Accelerate",
        "The Trainer and the :doc:`recipe <guides/accelerate>` are the same on any number of "
        "processes; a scheduler that Accelerate steps several times an update warns.",
        (
            "huggingface/accelerate#2926",
            "huggingface/accelerate#2142",
            "huggingface/accelerate#1398",
            "huggingface/accelerate#2773",
            "huggingface/accelerate#3797",
            "huggingface/diffusers#3954",
            "huggingface/transformers#26827",
            "Lightricks/LTX-Video-Trainer#67",
        ),
        ("accelerate",),
    ),
    Row(
        "F27",
        "With gradient accumulation the schedule stops far above its end.",
        "Accelerate",
        "Plans are in updates: 16 micro-batches in windows of four are four updates.",
        (
            "huggingface/accelerate#1160",
            "huggingface/accelerate#1170",
            "huggingface/accelerate!999",
        ),
        ("accelerate",),
    ),
    Row(
        "F28",
        "A guard against running past the end freezes the rate at the wrong value.",
        "Accelerate",
        "Past the end the floor is held. Steps that Accelerate multiplies are reported, once; so "
        "is a run that is not as long as its schedule.",
        ("huggingface/accelerate!385", "huggingface/accelerate#690"),
        ("accelerate",),
    ),
    Row(
        "F29",
        "The schedule counts micro-batches.",
        "mmengine, Ignite, optax, burn, StarVLA",
        "It counts updates, in every documented loop.",
        ("open-mmlab/mmengine#1308", "starVLA/starVLA!210", "tracel-ai/burn#5695"),
        ("ignite", "optax"),
    ),
    Row(
        "F30",
        "The short last window of an epoch is divided by the full length, so it counts too little.",
        f"Accelerate, Lightning, {_EARLIER}; mended in Transformers",
        "The Trainer averages each window over the batches that it has.",
        ("huggingface/transformers!38872",),
        ("accelerate", "lightning"),
    ),
    Row(
        "F31",
        "By default the schedule is stepped once an epoch, and hardly moves.",
        "Lightning",
        "The Trainer steps after each update, without a flag.",
        ("Lightning-AI/pytorch-lightning!11599",),
        ("lightning",),
    ),
    Row(
        "F32",
        "A frequency counts batches, anew in each epoch.",
        "Lightning",
        "A period counts updates, over epochs and windows.",
        ("Lightning-AI/pytorch-lightning#17544", "Lightning-AI/pytorch-lightning!21926"),
        ("lightning",),
    ),
    Row(
        "F33",
        "With a longer horizon the first update after resuming still uses the old plan's value.",
        "Transformers",
        "The first update after resuming runs with the new plan's value.",
        ("huggingface/transformers#34053", "huggingface/transformers#27749"),
        ("transformers",),
    ),
    Row(
        "F34",
        "A new learning rate that is given when resuming is ignored without notice.",
        "Transformers",
        "The restored base value counts, and a warning names both and says how to change it.",
        ("huggingface/transformers#9099", "huggingface/transformers#23099"),
        ("transformers",),
    ),
    Row(
        "F35",
        "Each phase's length has to be computed by hand.",
        "Transformers",
        "Lengths may be shares of the whole, and add up to it exactly.",
        ("huggingface/transformers#34905",),
        ("transformers",),
    ),
    Row(
        "F36",
        "A warmup starts one update late: the first update runs at the full rate.",
        "Ignite",
        "The first value is in force as soon as the scheduler is made.",
        ("pytorch/ignite#2462",),
        ("ignite",),
    ),
    Row(
        "F37",
        "Schedules of absolute values give all groups one rate.",
        "Ignite",
        "Plain numbers are multiples of each group's base value, so ratios hold.",
        (),
        ("ignite",),
    ),
    Row(
        "F39",
        "Updates are wasted at a rate of 0, and the base value is never used.",
        "DeepSpeed",
        "One update at most uses the start value, and the base value is reached.",
        ("deepspeedai/DeepSpeed!5287",),
    ),
    Row(
        "F40",
        "Betas leave their range, and others are overwritten.",
        "DeepSpeed",
        "A plan is checked against the field's range when it is made; other entries are kept.",
        ("deepspeedai/DeepSpeed!8589", "deepspeedai/DeepSpeed!8495"),
    ),
    Row(
        "F42",
        "The schedule is read from update 1 on; the first value is never used.",
        "optax",
        "The first update runs with the first value.",
        ("google-deepmind/optax!1744",),
        ("optax",),
    ),
    Row(
        "F43",
        "The documented way to write a scheduler does not work.",
        _EARLIER,
        "One method is enough, and every documented example runs in the tests.",
    ),
    Row(
        "F44",
        "The cooldown starts early, with a jump.",
        _EARLIER,
        "The cosine ends exactly where the cooldown starts.",
    ),
    Row(
        "F45",
        "A warmup ratio is taken of the wrong number, so the rate overshoots its base.",
        _EARLIER,
        "Ratios are of each group's own base value.",
    ),
    Row(
        "F46",
        "The schedule lags one update: the first value is used twice, the last one never.",
        _EARLIER,
        "Update k runs with value k, and the last value is left.",
    ),
    Row(
        "F47",
        "Returned values are not checked: arrays end up in the optimizer, short lists skip groups.",
        _EARLIER,
        "Any iterable of the right length is taken; a wrong one is refused, and nothing changes.",
    ),
    Row(
        "F48",
        "The default length is multiplied by the number of processes.",
        _EARLIER,
        "It is the number of updates that the run makes.",
    ),
    Row(
        "F49",
        "Resuming trains all epochs again.",
        _EARLIER,
        "What was made and what is left add up to the run, with equal parameters.",
    ),
    Row(
        "F50",
        "Only the first training state that a run saves can be resumed.",
        _EARLIER,
        "Each can.",
    ),
    Row(
        "F51",
        "The state lacks the count, so that resuming starts the warmup again.",
        f"{_EARLIER}, kohya-ss scripts",
        "Every scheduler's state has the position, and survives JSON.",
        ("kohya-ss/sd-scripts#1653",),
    ),
    Row(
        "F52",
        "With several checkpoints the plan ends at half time; past a short plan, it divides by 0.",
        _EARLIER,
        "The last period ends with the run, and there is a value for every update.",
    ),
    Row(
        "F53",
        "Importing the package, or training, seeds the random generators.",
        _EARLIER,
        "Importing leaves them as they are; nothing is seeded unasked.",
    ),
    Row(
        "F54",
        "Placeholders for lengths are evaluated as code.",
        _EARLIER,
        "They are objects with arithmetic; nothing is evaluated.",
    ),
    Row(
        "F55",
        "The limit on updates overrides the number of epochs, and differs between processes.",
        _EARLIER,
        "Whichever comes first ends the run, and is what the schedule is planned for.",
    ),
    Row(
        "F56",
        "With accumulation the reported loss is a fraction of the loss.",
        _EARLIER,
        "It is the undivided one.",
    ),
    Row(
        "F57",
        "Gradients are clipped after each micro-batch.",
        _EARLIER,
        "They are clipped once an update, when they are complete.",
    ),
    Row(
        "F58",
        "A first phase without updates decides the first value.",
        "mended in PyTorch",
        "A phase of no updates is not seen.",
        ("pytorch/pytorch#185872",),
    ),
    Row(
        "F59",
        "Continuing from a count needs a hidden key in every group.",
        "PyTorch, by design",
        "It needs no key.",
        ("pytorch/pytorch#160626",),
        ("pytorch",),
    ),
    Row(
        "F60",
        "A scheduler's state cannot be loaded safely.",
        "mended in PyTorch",
        "States hold plain values: they load with ``weights_only=True``, and survive JSON.",
        ("pytorch/pytorch#98921", "pytorch/pytorch#163105"),
    ),
    Row(
        "F61",
        "A factor that was changed is overwritten by the saved one.",
        "mended in PyTorch",
        "The plan given now counts, and a warning names both values.",
        ("pytorch/pytorch#52911",),
    ),
    Row(
        "F62",
        "After resuming, the schedule lags by an epoch or an update.",
        "mended in Lightning",
        "A run continues exactly from a state of mid-epoch or of an epoch's end.",
        (
            "Lightning-AI/pytorch-lightning#4655",
            "Lightning-AI/pytorch-lightning#1772",
            "Lightning-AI/pytorch-lightning#7637",
            "Lightning-AI/pytorch-lightning#15462",
        ),
    ),
    Row(
        "F64",
        "All groups end up with the first one's rate.",
        "mended in DeepSpeed",
        "Each group has its own base value.",
        ("deepspeedai/DeepSpeed!7969", "deepspeedai/DeepSpeed!8171"),
    ),
    Row(
        "F67",
        "Checkpoints of a model with a compiled part do not load into the plain model.",
        "Lightning",
        "``torch.compile`` leaves nothing in the names, at any depth: each loads the other's.",
        ("Lightning-AI/pytorch-lightning#20233",),
    ),
    Row(
        "F68",
        "The average of a model in half precision stands still: each step is rounded away.",
        "Dreambooth extension",
        "Averages are kept in single precision at least.",
        ("d8ahazard/sd_dreambooth_extension!1415",),
    ),
    Row(
        "F69",
        "What a run recorded shortly before an interruption never reaches the tracker.",
        "NeMo Automodel",
        "Each update reaches the tracker exactly once, whatever ended the run.",
        ("NVIDIA-NeMo/Automodel!3583",),
    ),
    Row(
        "F70",
        "Of several evaluations within an epoch, the tracker shows the last.",
        "Megatron-LLM",
        "Every recorded value is sent, with its own update.",
        ("epfLLM/Megatron-LLM#9",),
    ),
    Row(
        "F71",
        "Each worker gives the whole stream, so every sample comes as often as there are workers.",
        "PyTorch",
        "A stream gets one worker at most, unless you ask for more.",
        ("pytorch/pytorch#30599",),
    ),
    Row(
        "F72",
        "A data set that mixes its samples by the epoch is never told it, and gives one mixture.",
        "starVLA",
        "Training data with ``set_epoch`` is told, joined sets and persistent workers, too.",
        ("starVLA/starVLA#470",),
    ),
    Row(
        "F73",
        "A copy of a model whose ``forward`` was compiled computes with the original's weights, so "
        "the averaged model's metric is the raw model's.",
        "fairscale, and any copy of a model",
        "The averages are evaluated in the model itself.",
        ("facebookresearch/fairscale#816",),
    ),
    Row(
        "F75",
        "A schedule is refused for a stream, though the number of updates is given.",
        "Transformers",
        "A schedule asks for what its lengths need: shares need the run's updates, not an epoch's.",
        ("huggingface/transformers#12499",),
    ),
    Row(
        "F76",
        "What a configuration builds in a list is taken apart again, or refused: unions of "
        "containers are not supported.",
        "Hydra",
        "Schedules are plain classes, so composed ones, and lists and dictionaries of them, are "
        "built as they are written.",
        ("hydra-ecosystem/hydra#2504",),
    ),
    Row(
        "F78",
        "A metric with NumPy's numbers ends the run at its first checkpoint.",
        "Transformers",
        "Metrics are made of plain numbers when they are recorded.",
        ("huggingface/transformers#39616",),
    ),
    Row(
        "F79",
        "A stream that is over early ends the run without a word, half of the schedule left.",
        "Transformers",
        "A warning gives the updates that were made and those that were planned.",
        ("huggingface/transformers#26635",),
    ),
    Row(
        "F80",
        "A schedule-free optimizer stays in one mode: it refuses to train, or evaluation and "
        "checkpoints have the wrong weights.",
        "loops on Accelerate",
        "An optimizer with ``train()`` and ``eval()`` is switched with the model, also for the "
        "best model, averages and checkpoints; the trained weights come back to the bit.",
        ("huggingface/accelerate!2631",),
    ),
)
