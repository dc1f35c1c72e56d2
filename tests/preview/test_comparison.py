"""What compare says: equal bit for bit, or where not."""

from __future__ import annotations

import json

import pytest

from pytorch_accelerated.preview import Preview, compare, preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.recording import adamw, sgd


def plan(num_updates: int = 10):
    optimizer = adamw([0.1, 0.03], weight_decay=0.02)
    return ParamScheduler(optimizer, lr=cosine(10), weight_decay=linear(10)).preview(num_updates)


def test_equal_is_true_and_says_how_much_was_compared():
    result = compare(plan(), plan())
    assert result
    assert (result.num_updates, result.num_values, result.difference) == (10, 40, None)
    assert str(result) == "applied == planned (10 updates, 40 values)"


def test_values_survive_json():
    assert compare(plan(), json.loads(json.dumps(plan().to_dict())))


@pytest.mark.parametrize("update", [0, 4, 9])
def test_one_last_bit_is_a_difference(update):
    applied = plan().to_dict()
    value = applied["lr"][update][1]
    changed = value * (1 + 2**-52)
    applied["lr"][update][1] = changed
    result = compare(plan(), applied)
    assert not result
    assert str(result) == (
        f"applied != planned: first at update {update}, field 'lr', group 1: "
        f"planned {value!r}, applied {changed!r}"
    )
    difference = result.difference
    assert difference is not None
    assert (difference.update, difference.field, difference.group) == (update, "lr", "1")


def test_the_first_difference_of_all_fields_is_told():
    applied = plan().to_dict()
    applied["lr"][7][0] = 1.0
    applied["weight_decay"][3][1] = 2.0
    difference = compare(plan(), applied).difference
    assert difference is not None
    assert (difference.update, difference.field, difference.applied) == (3, "weight_decay", 2.0)


def test_the_sign_of_zero_is_a_difference():
    planned = preview(linear(1, start=1.0, end=0.0), 2)
    assert compare(planned, {"value": [[1.0], [0.0]]})
    assert not compare(planned, {"value": [[1.0], [-0.0]]})


@pytest.mark.parametrize("count", [9, 11])
def test_fewer_or_more_updates_are_a_difference(count):
    applied = plan(count).to_dict()
    result = compare(plan(), applied)
    assert not result
    assert result.difference is None
    assert f"{count - 1} applied" in str(result) or f"{count} applied" in str(result)


def test_nothing_applied_is_a_difference():
    assert not compare(plan(), {"lr": [], "weight_decay": []})
    assert not compare(plan(), {"lr": plan().to_dict()["lr"]})
    assert "no values of 'weight_decay'" in str(compare(plan(), {"lr": plan().to_dict()["lr"]}))


def test_more_or_fewer_groups_are_a_difference():
    lr = preview(ParamScheduler(sgd([0.1, 0.03]), lr=cosine(10)))
    one = {"lr": [values[:1] for values in lr.to_dict()["lr"]]}
    assert "planned for 2 groups and applied to 1" in str(compare(lr, one))


def test_a_missing_value_is_a_difference():
    applied = plan().to_dict()
    applied["lr"][5][0] = None
    assert "applied None" in str(compare(plan(), applied))


def test_a_group_that_joined_is_compared_from_then_on():
    applied = plan().to_dict()
    for field in applied:
        applied[field][:4] = [values[:1] for values in applied[field][:4]]
    result = compare(plan(), applied)
    assert result
    assert (result.num_updates, result.num_values) == (10, 32)
    assert result.joined == (("lr", "1", 4), ("weight_decay", "1", 4))
    assert str(result) == (
        "applied == planned (10 updates, 32 values); "
        "group 1 has values from update 4 on (lr, weight_decay)"
    )
    applied["lr"][6][1] = 7.0
    result = compare(plan(), applied)
    assert not result
    assert str(result) == (
        f"applied != planned: first at update 6, field 'lr', group 1: "
        f"planned {plan().value('lr', 6, 1)!r}, applied 7.0; "
        "group 1 has values from update 4 on (lr, weight_decay)"
    )


def test_a_field_that_was_recorded_later_is_compared_from_then_on():
    applied = plan().to_dict()
    applied["weight_decay"][:3] = [[None, None]] * 3
    result = compare(plan(), applied)
    assert result
    assert str(result).endswith(
        "(10 updates, 34 values); groups 0, 1 have values from update 3 on (weight_decay)"
    )
    applied["weight_decay"] = [[None, None]] * 10
    assert "planned 0.02, applied None" in str(compare(plan(), applied))


def test_a_group_that_left_is_a_difference():
    applied = plan().to_dict()
    applied["lr"][6:] = [values[:1] for values in applied["lr"][6:]]
    assert str(compare(plan(), applied)).startswith(
        "applied != planned: first at update 6, field 'lr'"
    )


def test_a_group_that_nobody_planned_and_that_joined_is_a_difference():
    planned = preview(linear(4, end=0.0))
    result = compare(planned, {"value": [[1.0], [0.75], [0.5, 0.1], [0.25, 0.1]]})
    assert str(result) == "applied != planned: 'value' was planned for 1 groups and applied to 2"


def test_entries_of_betas_of_a_group_that_joined_are_compared_from_then_on():
    planned = ParamScheduler(adamw([0.1, 0.2]), beta2=linear(4, end=0.9)).preview()
    betas = [[(0.9, value) for value in values] for values in planned.to_dict()["beta2"]]
    betas[0].pop()
    assert str(compare(planned, {"betas": betas})) == (
        "applied == planned (4 updates, 7 values); group 1 has values from update 1 on (beta2); "
        "recorded, but not planned: betas[0]"
    )
    figure = planned.plot(applied={"betas": betas})
    assert "group 1 has values from update 1 on" in figure._supxlabel.get_text()


def test_values_that_were_planned_as_none_are_compared_but_not_counted():
    planned = Preview({"momentum": [[0.9, 0.8], [None, None], [None, 0.5]]})
    result = compare(planned, planned.to_dict())
    assert result
    assert (result.num_values, result.joined) == (3, ())
    assert not compare(planned, {"momentum": [[0.9, 0.8], [None, 0.8], [None, 0.5]]})


def test_fields_that_were_only_recorded_are_named():
    recorded = {**plan().to_dict(), "momentum": [[0.9, 0.9]] * 10, "eps": [[0.1, 0.1]] * 10}
    result = compare(plan(), recorded)
    assert result
    assert result.unplanned == ("momentum", "eps")
    assert str(result) == (
        "applied == planned (10 updates, 40 values); recorded, but not planned: momentum, eps"
    )
    recorded["lr"][2][0] = 7.0
    result = compare(plan(), recorded)
    assert not result
    assert str(result).endswith("applied 7.0; recorded, but not planned: momentum, eps")
    assert compare(plan(), plan()).unplanned == ()
    assert compare(preview(cosine(3)), preview(cosine(3)) | named("other")).unplanned == ("other",)


def named(field: str) -> Preview:
    return Preview({field: [[0.5, 0.5, 0.5]]})


def test_entries_of_betas_that_were_not_planned_are_named():
    planned = ParamScheduler(adamw([0.1]), beta2=linear(2, end=0.9)).preview()
    betas = [[(0.9, value)] for (value,) in planned.to_dict()["beta2"]]
    result = compare(planned, {"betas": betas})
    assert result
    assert result.unplanned == ("betas[0]",)
    both = ParamScheduler(
        adamw([0.1]), beta1=linear(2, end=0.8), beta2=linear(2, end=0.9)
    ).preview()
    rows = zip(both.to_dict()["beta1"], both.to_dict()["beta2"], strict=True)
    result = compare(both, {"betas": [[(a, b)] for (a,), (b,) in rows]})
    assert result
    assert result.unplanned == ()


def test_entries_of_betas_are_found_in_the_tuple():
    planned = ParamScheduler(adamw([0.1]), beta2=linear(4, end=0.9)).preview()
    betas = [[[0.9, value]] for (value,) in planned.to_dict()["beta2"]]
    assert compare(planned, {"betas": betas})
    betas[2][0][1] = 0.5
    result = compare(planned, {"betas": betas})
    assert result.difference is not None
    assert result.difference.update == 2
