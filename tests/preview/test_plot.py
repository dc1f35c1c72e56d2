"""Pictures show exact values, readable for one update and for many groups."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from array import array
from itertools import combinations, islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes._base import _AxesBase
from matplotlib.axis import Tick
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation, Text

from pytorch_accelerated.preview import Preview, preview
from pytorch_accelerated.preview.curves import kept_points, spans_decades
from pytorch_accelerated.preview.of_schedules import plot_schedule
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import (
    constant,
    cosine,
    exponential,
    from_function,
    inverse_sqrt,
    linear,
    milestones,
)
from tests.recording import adamw, sgd


def drawn(figure, panel=0):
    """Return the lines that were drawn: lists of (update, value)."""
    lines = figure.axes[panel].get_lines()
    return [
        list(zip(*line.get_data(), strict=True))
        for line in lines
        if line.get_linestyle() != ":"
        and list(line.get_xdata()) != [0, 1]
        and len(set(line.get_xdata())) == len(line.get_xdata())
    ]


def texts(figure):
    """Return the texts that are drawn; ticks outside the view are not."""
    figure.draw_without_rendering()
    every_axis = [axis for axes in figure.findobj(_AxesBase) for axis in (axes.xaxis, axes.yaxis)]
    ticks = [tick for axis in every_axis for tick in axis.findobj(Tick)]
    in_view = [tick for axis in every_axis for tick in axis._update_ticks()]
    hidden = {id(text) for tick in ticks for text in tick.findobj(Text)} - {
        id(text) for tick in in_view for text in tick.findobj(Text)
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and id(text) not in hidden
    ]


def overlaps(figure):
    """Return pairs of texts that are printed over each other."""
    shown = texts(figure)
    renderer = figure._get_renderer()
    boxes = [
        (
            text.get_text(),
            Text.get_window_extent(text, renderer)
            if isinstance(text, Annotation)
            else text.get_window_extent(renderer),
        )
        for text in shown
    ]
    return [
        (one, other)
        for (one, a), (other, b) in combinations(boxes, 2)
        if a.width and b.width and a.padded(-1).overlaps(b.padded(-1))
    ]


def test_the_line_is_the_plan_value_for_value():
    planned = preview(linear(100, start=0.0) >> cosine(400), base=3e-4)
    (line,) = drawn(planned.plot())
    assert line == list(enumerate(planned["value"][0]))


def test_what_holds_in_the_end_is_dotted_and_said():
    planned = preview(linear(100, end=0.25) >> milestones({50: 0.4}), base=0.5)
    figure = planned.plot()
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    (points,) = [list(zip(*line.get_data(), strict=True)) for line in dotted]
    last = planned.value("value", 149)
    assert points == [(149, last), (150, 0.2), (156, 0.2)]
    assert {"then holds", " 0.2"} <= {text.get_text() for text in texts(figure)}
    whole = preview(linear(100), num_updates=50).plot()  # the plan goes on
    assert not [line for line in whole.axes[0].get_lines() if line.get_linestyle() == ":"]


def test_a_long_line_has_exact_values_and_all_joints():
    schedule = linear(30_000, start=0.0) >> milestones({40_000: 0.1, 40_001: 0.7})
    planned = preview(schedule, 100_000)
    (line,) = drawn(planned.plot())
    assert len(line) < 2_500
    assert all(value == planned["value"][0][update] for update, value in line)
    updates = [update for update, _ in line]
    assert {0, 29_999, 30_000, 69_999, 70_000, 70_001, 99_999} <= set(updates)
    assert [value for update, value in line if update == 70_000] == [0.1]


def test_fields_are_stacked_over_one_axis_of_updates():
    scheduler = ParamScheduler(
        adamw([0.1, 0.02], weight_decay=0.1), lr=cosine(60), weight_decay=linear(60)
    )
    figure = scheduler.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["lr", "weight_decay"]
    assert [len(drawn(figure, panel)) for panel in (0, 1)] == [2, 1]  # equal groups are one line
    assert figure.axes[0].get_shared_x_axes().joined(*figure.axes)
    only = scheduler.preview().plot(fields=["weight_decay"])
    assert [axes.get_ylabel() for axes in only.axes] == ["weight_decay"]
    with pytest.raises(KeyError, match="'momentum' is not scheduled"):
        scheduler.plot(fields=["momentum"])


def test_phases_are_named_and_epochs_are_on_top():
    planned = preview(
        linear(100, start=0.0) >> cosine(300) >> constant(100), num_updates_per_epoch=50
    )
    figure = planned.plot(title="Mine")
    shown = [text.get_text() for text in texts(figure)]
    assert {"linear", "cosine", "constant", "update", "epoch", "Mine"} <= set(shown)
    top = figure.axes[0].child_axes[0]
    assert top.get_xlim() == pytest.approx((-0.01, 10.41))


@pytest.mark.parametrize(
    ("schedule", "named"),
    [
        (linear(50, start=0.0) >> cosine(900) >> constant(80), {"linear", "cosine", "constant"}),
        (constant(1) >> linear(1, end=2.0) >> exponential(998, end=0.1), {"exponential"}),
        (linear(300) >> inverse_sqrt(40, timescale=5) >> cosine(500), {"inverse_sq"}),
        (cosine(997) >> linear(1, start=0.0) >> constant(1), {"cosine"}),
        (cosine(20).repeat(20), {"cosine"}),
    ],
)
def test_phases_are_named_where_there_is_room(schedule, named):
    figure = schedule.plot()
    shown = {text.get_text() for text in texts(figure)}
    assert named <= shown
    assert "then holds" in shown
    assert overlaps(figure) == []


def test_the_position_is_marked():
    optimizer = sgd([0.1])
    scheduler = ParamScheduler(optimizer, lr=cosine(60))
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    figure = scheduler.plot()
    assert "update (now: 20)" in [text.get_text() for text in texts(figure)]
    marks = [line for line in figure.axes[0].get_lines() if list(line.get_xdata()) == [20, 20]]
    assert len(marks) == 1


@pytest.mark.parametrize(
    ("schedule", "is_log"),
    [
        (linear(100, start=0.0) >> cosine(900), False),
        (exponential(100, end=1e-4), True),
        (milestones({30: 0.1, 60: 0.01, 90: 0.001}), True),
        (cosine(100, end=1e-9), False),
        (from_function(lambda k: -1.0, length=5), False),
        (constant(10, value=0.0), False),
    ],
)
def test_the_scale_is_logarithmic_where_values_span_decades(schedule, is_log):
    figure = schedule.plot()
    assert (figure.axes[0].get_yscale() == "log") is is_log
    has_logarithms = schedule(1) > 0.0
    asked = schedule.plot(log=not is_log).axes[0].get_yscale()
    assert (asked == "log") is (not is_log and has_logarithms)


def test_groups_far_apart_share_a_logarithmic_scale_without_their_zeros():
    planned = preview(linear(50, start=0.0), base=[1.0, 1e-4])
    figure = planned.plot()
    assert figure.axes[0].get_yscale() == "log"
    assert all(math.isnan(line[0][1]) and line[1][1] > 0 for line in drawn(figure))


def test_applied_values_lie_over_the_plan_with_the_loss_below():
    planned = preview(cosine(200), base=0.1)
    applied = planned.to_dict()
    figure = planned.plot(applied=applied, loss=[1 / (k + 1) for k in range(200)])
    mine, theirs = drawn(figure)
    assert mine == theirs
    assert [axes.get_ylabel() for axes in figure.axes] == ["value", "loss"]
    assert "applied == planned" in figure._supxlabel.get_text()
    applied["value"][100][0] = 0.2
    different = planned.plot(applied=applied, loss={0: 1.0, 100: 0.5})
    assert (100, 0.2) in drawn(different)[1]
    assert "first at update 100" in different._supxlabel.get_text()
    assert drawn(different, 1) == [[(0, 1.0), (100, 0.5)]]


@pytest.mark.parametrize("log", [None, True, False])
def test_values_that_overflow_end_the_line(log):
    native = torch.optim.lr_scheduler.ExponentialLR(sgd([0.1]), 10.0)
    figure = preview(native, 400).plot(log=log)
    figure.draw_without_rendering()
    (line,) = drawn(figure)
    numbers = [update for update, value in line if not math.isnan(value)]
    assert numbers == list(range(numbers[-1] + 1))
    assert 100 < len(numbers) < 310


def test_groups_without_the_field_have_no_line_and_later_ones_begin_later():
    momentum = [[0.9, 0.8, 0.7], [None, None, None], [None, 0.5, 0.4]]
    figure = Preview({"lr": [[0.1] * 3] * 3, "momentum": momentum}).plot()
    figure.draw_without_rendering()
    whole, later = drawn(figure, 1)
    assert whole == [(0, 0.9), (1, 0.8), (2, 0.7)]
    assert math.isnan(later[0][1])
    assert later[1:] == [(1, 0.5), (2, 0.4)]
    assert {"group 0", "group 2"} <= {text.get_text() for text in texts(figure)}


@pytest.mark.parametrize("column", [[], [None, None], [math.nan, math.inf]])
@pytest.mark.parametrize("log", [None, True, False])
def test_without_a_number_there_is_a_picture_without_a_line(column, log):
    figure = Preview({"lr": [column]}).plot(log=log)
    figure.draw_without_rendering()
    assert drawn(figure) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_a_gap_in_the_line(bad):
    loss = [4.0] * 2500 + [bad] + [2.0] * 2498 + [bad]
    figure = preview(linear(5000)).plot(loss=loss)
    (line,) = drawn(figure, 1)
    assert [update for update, value in line if math.isnan(value)] == [2500, 4999]
    assert {value for _, value in line if not math.isnan(value)} == {2.0, 4.0}


def test_a_long_loss_without_numbers_is_drawn_as_nothing():
    figure = preview(linear(5000)).plot(loss=[math.nan] * 5000)
    figure.draw_without_rendering()
    assert all(math.isnan(value) for line in drawn(figure, 1) for _, value in line)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: preview(constant(1)).plot(),
        lambda: preview(cosine(2)).plot(),
        lambda: (linear(10, start=0.0) >> cosine(90)).plot(base=[0.1 * i for i in range(1, 13)]),
        lambda: (linear(10) >> constant(90)).plot(base=[0.1 * i for i in range(1, 41)]),
        lambda: preview(cosine(20_000).repeat(50)).plot(),
        lambda: cosine(20).repeat(14).plot(base=3e-7),
        lambda: preview(
            linear(3, start=0.0) >> cosine(500) >> constant(2) >> linear(9),
            num_updates_per_epoch=7,
        ).plot(loss=[1.0] * 514, title="A title"),
    ],
    ids=["1 update", "2 updates", "12 groups", "40 groups", "1e6 updates", "14 phases", "narrow"],
)
def test_no_text_is_printed_over_another(figure):
    assert overlaps(figure()) == []


def test_a_picture_needs_no_pyplot_and_its_package_no_matplotlib():
    code = (
        "import sys, pytorch_accelerated.preview\n"
        "from pytorch_accelerated.schedules import cosine\n"
        "for name in ('matplotlib', 'plotly', 'pandas', 'torch'):\n"
        "    assert name not in sys.modules, name\n"
        "assert cosine(10).plot()._repr_png_().startswith(b'\\x89PNG')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    "schedule",
    [
        linear(2_000_000_000, start=0.0) >> cosine(298_000_000_000),
        linear(10, start=0.0) >> cosine(10**9, end=0.1) >> linear(5, start=0.1, end=0.0),
        cosine(2_000_000).repeat(10_000),
        cosine(10**6).repeat(20, length=1.5, peak=0.5) * milestones({10**7: 0.5}),
        from_function(lambda k: 1.0 / (1 + k), length=10**8),
    ],
    ids=["two phases", "short ends", "many phases", "product", "function"],
)
def test_a_notebook_shows_a_plan_of_any_length_at_once(schedule):
    started = time.perf_counter()
    assert "data:image/svg+xml" in schedule._repr_html_()
    assert time.perf_counter() - started < 5.0
    figure = plot_schedule(schedule, most=100_000)
    figure.draw_without_rendering()
    (line,) = drawn(figure)
    assert len(line) <= 2_000
    assert all(value == schedule(update) for update, value in line)
    assert (line[0][0], line[-1][0]) == (0, schedule.horizon - 1)
    updates = {update for update, _ in line}
    joints = [row.first for row in islice(schedule.phases, 40)] if len(schedule.phases) < 40 else []
    assert {side for joint in joints[1:] for side in (joint - 1, joint)} <= updates
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    "schedule",
    [
        linear(20_000, start=0.0) >> cosine(60_000, end=0.1) >> constant(10_000),
        cosine(200).repeat(500),
        exponential(50_000, end=1e-5),
    ],
)
def test_a_sample_and_the_whole_give_the_same_picture(schedule):
    whole, sampled = schedule.plot(), plot_schedule(schedule, most=1_000)
    assert whole.axes[0].get_ylim() == sampled.axes[0].get_ylim()
    assert whole.axes[0].get_xlim() == sampled.axes[0].get_xlim()
    named, others = ([text.get_text() for text in texts(figure)] for figure in (whole, sampled))
    assert named == others
    assert whole.axes[0].get_yscale() == sampled.axes[0].get_yscale()


LONG = linear(10**9, start=0.0) >> cosine(99 * 10**9, end=0.1)


@pytest.mark.parametrize("base", [3e-4, [0.1, 0.02]])
def test_a_plan_of_any_length_is_drawn_at_once(base):
    figure = LONG.plot(base=base, title="Mine")
    bases = base if isinstance(base, list) else [base]
    lines = drawn(figure)
    assert len(lines) == len(bases)
    for line, one in zip(lines, bases, strict=True):
        assert len(line) <= 2_000
        assert all(value == LONG(update, one) for update, value in line)
        assert (line[0][0], line[-1][0]) == (0, 100 * 10**9 - 1)
    assert {"cosine", "Mine"} <= {text.get_text() for text in texts(figure)}
    (line,) = drawn(LONG.plot(2 * 10**9, base=0.1))
    assert line[-1] == (2 * 10**9 - 1, LONG(2 * 10**9 - 1, 0.1))
    endless = from_function(lambda k: 1.0 / (1 + k))
    assert drawn(endless.plot(10**9))[0][-1] == (10**9 - 1, 1e-9)


def test_a_plan_of_any_length_says_what_is_wrong_when_drawn():
    with pytest.raises(ValueError, match="but a comparison needs each"):
        LONG.plot(applied={"value": [[1.0]]})
    with pytest.raises(ValueError, match=r"num_updates=1000000000000\.5 is a fractional count"):
        LONG.plot(1e12 + 0.5)
    with pytest.raises(ValueError, match="base=nan is not finite"):
        LONG.plot(base=math.nan)
    with pytest.raises(ValueError, match="over"):
        (linear(0.1) >> cosine()).plot(10**12)


def test_a_relative_schedule_has_no_picture():
    with pytest.raises(ValueError, match="over"):
        (linear(0.1) >> cosine()).plot()


def test_a_schedule_is_drawn_a_little_past_its_horizon():
    for most in (10**6, 10):
        figure = plot_schedule(milestones({50: 0.5, 100: 0.25}), most=most)
        end = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
        assert list(end[0].get_ydata()) == [0.5, 0.25, 0.25]
        assert list(end[0].get_xdata()) == [99, 100, 104]


def test_the_peak_is_on_the_axis_and_no_number_above_it():
    def labels(figure):
        figure.draw_without_rendering()
        return [label.get_text() for label in figure.axes[0].get_yticklabels()]

    warmed_up = linear(100, start=0.0) >> cosine(300)
    assert labels(warmed_up.plot(base=3.17e-4)) == ["0", "0.0001", "0.0002", "0.000317"]
    assert labels(exponential(100, end=1e-3).plot(base=5.0))[-2:] == ["1", "5"]


def test_curves_are_told_apart_without_colour_on_white_and_on_black():
    def luminance(colour):
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in to_rgb(colour)
        ]
        return sum(
            share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    figure = preview(cosine(100, end=0.1), base=[0.1 * i for i in range(1, 7)]).plot()
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 100]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(lines) == 6
    for line in lines:
        level = luminance(line.get_color())
        assert 1.05 / (level + 0.05) > 3.0 < (level + 0.05) / 0.05
    assert figure.get_facecolor()[3] == 0.0
    assert not any(axes.patch.get_visible() for axes in figure.axes)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0] == "group 5, then 0.06"


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=300),
    st.sets(st.integers(0, 299), max_size=5),
)
def test_thinning_keeps_ends_joints_and_extremes(values, joints):
    kept = kept_points(array("d", values), joints, most=20)
    assert kept == sorted(set(kept))
    assert {0, len(values) - 1} <= set(kept)
    assert {j for j in joints if j < len(values)} <= set(kept)
    assert min(values) in [values[k] for k in kept]
    assert max(values) in [values[k] for k in kept]


def test_thinning_skips_what_is_no_number_but_keeps_the_gap():
    values = [1.0, 2.0, math.nan, 3.0, *[math.inf] * 4, 5.0, 4.0, 4.0, 4.5]
    kept = kept_points(array("d", values), [], most=6)
    assert kept == [0, 2, 3, 4, 8, 9, 11]


def test_nothing_and_negative_values_span_no_decades():
    assert not spans_decades([])
    assert not spans_decades([[]])
    assert not spans_decades([[-1.0, 1000.0]])


def test_a_curve_of_all_groups_has_the_colour_of_none():
    optimizer = adamw([0.1, 0.03], weight_decay=0.05)
    both = ParamScheduler(optimizer, lr=cosine(10), weight_decay=linear(10)).plot()
    own, shared = (
        {line.get_color() for line in axes.get_lines() if len(set(line.get_xdata())) > 1}
        for axes in both.axes
    )
    assert len(own) == 2
    assert len(shared) == 1
    assert not own & shared
