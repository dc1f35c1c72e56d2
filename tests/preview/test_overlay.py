"""Several plans side by side, and where they differ."""

import pytest
import torch

from pytorch_accelerated.preview import PlanDifference, preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import constant, linear
from tests.recording import adamw, sgd

SHORT, LONG = linear(2, end=0.0), linear(4, end=0.0)


def test_a_shorter_plan_is_continued_with_what_it_holds():
    both = preview(SHORT).overlay(preview(LONG))
    assert both.groups == ("A", "B")
    assert [list(column) for column in both["value"]] == [[1, 0.5, 0, 0], [1, 0.75, 0.5, 0.25]]
    assert both.value("value", 9, "A") == both.value("value", 9, "B") == 0.0
    assert [row[:] for row in both.rows] == [("linear", 0, 1), ("holds/linear", 2, 3)]
    assert both.to_csv().splitlines()[0] == "update,value/A,value/B"


def test_what_is_not_known_is_left_out():
    # The first one is cut before its end, so that nobody says what follows.
    both = preview(LONG, 2).overlay(preview(LONG))
    assert list(both["value"][0]) == [1.0, 0.75, None, None]
    (found,) = both.differences
    assert found.is_same
    assert found.last_values == (0.75, 0.75)
    assert not both.ends


def test_differences_by_field_and_group():
    def planned(**plans):
        optimizer = adamw([0.1, 0.2], weight_decay=0.5)
        return ParamScheduler(optimizer, **plans).preview()

    one = planned(lr=LONG, beta1=0.5 * constant(4), weight_decay=LONG)
    other = planned(lr=SHORT, beta1=0.5 * constant(4))
    found = {(row.field, row.plan): row for row in one.overlay(other, names=["x", "y"]).differences}
    assert found["lr/1", "y"] == PlanDifference(
        *("lr/1", "y"),
        *(1, (0.2 * 0.75, 0.1)),
        *(2, (0.1, 0.0)),
        last_values=(0.0, 0.0),
    )
    assert found["beta1/0", "y"].is_same
    assert found["weight_decay/0", "y"].only_in == "x"
    assert not found["weight_decay/0", "y"].is_same
    assert len(found) == 6


def test_entries_of_tuples_and_schedulers_on_their_way():
    optimizer = adamw([0.1])
    native = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    for _ in range(3):
        optimizer.step()
        native.step()
    both = preview(native, 10).overlay(preview(native, 10), preview(native, 8))
    assert both.first_update == 3
    assert {(one.field, one.is_same) for one in both.differences} == {
        ("lr", True),
        ("betas[0]", True),
        ("betas[1]", True),
    }


def test_pictures_and_pages_are_made_as_of_any_preview(tmp_path):
    both = preview(SHORT).overlay(preview(LONG), names=["short", "long"])
    (panel,) = both.plot(title="two").axes
    names = [text.get_text().split(",")[0] for text in panel.get_legend().get_texts()]
    assert names == ["long", "short"]
    both.save_html(tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text()
    assert '"groups": ["short"]' in page
    assert ">first differs from short</th>" in page
    assert ">first differs from short</th>" in both._repr_html_()


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (lambda: preview(LONG).overlay(LONG), "others=.* has to be a preview. Write plan.overlay"),
        (lambda: preview(LONG).overlay(preview(LONG), names=["a", "a"]), "2 different texts"),
        (lambda: preview(LONG).overlay(preview(LONG), names=["a"]), "2 different texts"),
        (lambda: preview(LONG).overlay(*[preview(LONG)] * 26), "27 plans are too many; 26"),
        (lambda: _in_samples().overlay(preview(LONG)), "in samples and in updates"),
    ],
)
def test_what_cannot_be_laid_side_by_side(overlay, message):
    with pytest.raises((TypeError, ValueError), match=message):
        overlay()


def _in_samples():
    return ParamScheduler(sgd([0.1]), lr=LONG, clock="samples").preview()
