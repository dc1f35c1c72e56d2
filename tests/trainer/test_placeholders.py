import copy
import functools
import math
import pickle
import subprocess
import sys
from collections import namedtuple
from fractions import Fraction
from types import SimpleNamespace

import pytest

from pytorch_accelerated.placeholders import (
    TrainerPlaceholderValues as T,
)
from pytorch_accelerated.placeholders import (
    find_placeholders,
    replace_trainer_placeholder_values,
)


def trainer(epochs=3, per_epoch=10, horizon=None, train=7, evaluation=2):
    return SimpleNamespace(
        run_config=SimpleNamespace(
            num_epochs=epochs,
            num_update_steps_per_epoch=per_epoch,
            num_local_update_steps_per_epoch=per_epoch,
            max_num_train_steps=epochs * per_epoch if horizon is None else horizon,
            max_samples=1_000,
            max_items=10_000,
            max_time=60,
        ),
        _train_dataloader=None if train is None else range(train),
        _eval_dataloader=None if evaluation is None else range(evaluation),
    )


def resolved(value, **run):
    return replace_trainer_placeholder_values(trainer(**run), functools.partial(list, value)).args[
        0
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (T.NUM_EPOCHS, 3),
        (T.NUM_UPDATE_STEPS_PER_EPOCH, 10),
        (T.PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH, 10),
        (T.MAX_NUM_TRAIN_STEPS, 30),
        (T.TRAIN_DATALOADER_LEN, 7),
        (T.EVAL_DATALOADER_LEN, 2),
        (T.NUM_EPOCHS * T.NUM_UPDATE_STEPS_PER_EPOCH, 30),
        ((T.NUM_EPOCHS + 1) * 2, 8),
        (2 * T.NUM_EPOCHS + 1, 7),
        (10 - T.NUM_EPOCHS, 7),
        (T.NUM_EPOCHS - 10, -7),
        (T.MAX_NUM_TRAIN_STEPS / 4, 7.5),
        (T.MAX_NUM_TRAIN_STEPS // 4, 7),
        (100 // T.NUM_EPOCHS, 33),
        (1 / T.TRAIN_DATALOADER_LEN, 1 / 7),
        (T.MAX_NUM_TRAIN_STEPS % 7, 2),
        (T.NUM_EPOCHS**2, 9),
        (2**T.NUM_EPOCHS, 8),
        (-T.NUM_EPOCHS, -3),
        (abs(-T.NUM_EPOCHS), 3),
        (round(T.MAX_NUM_TRAIN_STEPS * 0.25), 8),
        (round(T.MAX_NUM_TRAIN_STEPS / 7, 2), 4.29),
        (math.floor(T.MAX_NUM_TRAIN_STEPS / 4), 7),
        (math.ceil(T.MAX_NUM_TRAIN_STEPS / 4), 8),
        (math.trunc(-T.MAX_NUM_TRAIN_STEPS / 4), -7),
    ],
)
def test_arithmetic_is_done_once_the_numbers_are_known(expression, expected):
    assert isinstance(expression, T)
    assert resolved(expression) == expected
    assert type(resolved(expression)) is type(expected)


@pytest.mark.parametrize(
    "expression",
    [
        (T.NUM_EPOCHS + 1) * 2,
        T.NUM_EPOCHS - (T.TRAIN_DATALOADER_LEN - 1),
        2 / (T.NUM_EPOCHS * 3),
        (T.NUM_EPOCHS**2) ** T.NUM_EPOCHS,
        T.NUM_EPOCHS ** (T.NUM_EPOCHS**2),
        (T.NUM_EPOCHS - 10) ** -1,
        (T.NUM_EPOCHS * -2) - -1,
    ],
)
def test_the_repr_is_code_for_the_same_value(expression):
    values = {name: resolved(getattr(T, name)) for name in T.placeholder_set()}
    assert eval(repr(expression), {}, values) == resolved(expression)


def test_members_and_expressions_compare_hash_copy_and_pickle_by_value():
    expression = T.NUM_EPOCHS * 2 + 1
    for twin in (copy.deepcopy(expression), pickle.loads(pickle.dumps(expression))):
        assert twin == expression
        assert hash(twin) == hash(expression)
    assert pickle.loads(pickle.dumps(T.NUM_EPOCHS)) == T.NUM_EPOCHS != T.MAX_NUM_TRAIN_STEPS
    assert T.placeholder_set() == {
        "MAX_SAMPLES",
        "MAX_ITEMS",
        "MAX_TIME",
        "NUM_EPOCHS",
        "NUM_UPDATE_STEPS_PER_EPOCH",
        "PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH",
        "MAX_NUM_TRAIN_STEPS",
        "TRAIN_DATALOADER_LEN",
        "EVAL_DATALOADER_LEN",
    }


def test_a_string_operand_is_refused_not_run():
    with pytest.raises(TypeError):
        T.NUM_EPOCHS + "__import__('os')"
    with pytest.raises(TypeError):
        "1" + T.NUM_EPOCHS


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: T.NUM_EPOCHS < 3, "compared"),
        (lambda: [k < T.NUM_EPOCHS for k in (1, 2)], "compared"),
        (lambda: T.NUM_EPOCHS <= 3.5, "compared"),
        (lambda: T.NUM_EPOCHS > T.MAX_NUM_TRAIN_STEPS, "compared"),
        (lambda: T.NUM_EPOCHS >= 3, "compared"),
        (lambda: max(3, T.NUM_EPOCHS), "compared"),
        (lambda: float(T.NUM_EPOCHS), "made a float"),
        (lambda: math.sqrt(T.NUM_EPOCHS), "made a float"),
        (lambda: int(T.NUM_EPOCHS), "made an int"),
        (lambda: range(T.NUM_EPOCHS), "used as an integer"),
    ],
)
def test_a_number_that_is_needed_before_the_run_is_refused_with_a_way_out(use, words):
    with pytest.raises(
        TypeError, match=rf"^NUM_EPOCHS is a placeholder.* cannot be {words}\."
    ) as e:
        use()
    assert "functools.partial(make, epochs=TrainerPlaceholderValues.NUM_EPOCHS)" in str(e.value)


def test_objects_that_are_merely_named_like_a_placeholder_are_left_alone():
    impostor = SimpleNamespace(name="NUM_EPOCHS", value="1/0")
    assert resolved(impostor) is impostor


@pytest.mark.parametrize("horizon", [1, 7, 10, 25, 29, 30])
@pytest.mark.parametrize("per_epoch", [10, 49, 7])
def test_epochs_times_updates_per_epoch_is_the_number_of_updates_of_a_run_cut_short(
    horizon, per_epoch
):
    run = {"per_epoch": per_epoch, "horizon": min(horizon, 3 * per_epoch)}
    total = resolved(T.NUM_EPOCHS * T.NUM_UPDATE_STEPS_PER_EPOCH, **run)
    assert total == run["horizon"]
    assert type(total) is int
    # also where a scheduler does the multiplication itself
    epochs = resolved(T.NUM_EPOCHS, **run)
    assert isinstance(epochs, (int, Fraction))
    assert epochs * per_epoch == run["horizon"]


def test_placeholders_are_filled_in_everywhere_among_the_arguments():
    Pair = namedtuple("Pair", "a b")
    factory = functools.partial(
        dict,
        [("first", T.NUM_EPOCHS)],
        nested={"pair": Pair(T.NUM_EPOCHS, 1), "deep": [(T.TRAIN_DATALOADER_LEN + 1,)]},
        inner=functools.partial(int, T.NUM_EPOCHS),
        other="text",
    )
    filled = replace_trainer_placeholder_values(trainer(), factory)()
    assert filled["first"] == 3
    assert filled["nested"] == {"pair": Pair(3, 1), "deep": [(8,)]}
    assert filled["inner"]() == 3
    assert filled["other"] == "text"
    assert list(find_placeholders(factory))  # the given partial is unchanged


def test_what_is_no_partial_is_returned_unchanged():
    factory = [T.NUM_EPOCHS]
    assert replace_trainer_placeholder_values(trainer(), factory) is factory


@pytest.mark.parametrize("name", ["EVAL_DATALOADER_LEN", "TRAIN_DATALOADER_LEN"])
def test_an_unknown_number_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} is not known"):
        resolved(getattr(T, name) + 1, train=None, evaluation=None)


def test_importing_placeholders_loads_no_third_party_package():
    code = (
        "import sys, pytorch_accelerated.placeholders;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'accelerate', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
