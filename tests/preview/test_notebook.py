"""What a notebook shows by itself: a picture in SVG and a table in HTML."""

from __future__ import annotations

import base64
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from pytorch_accelerated.preview import Preview, preview
from pytorch_accelerated.schedulers import ParamScheduler, StatefulSchedulerBase
from pytorch_accelerated.schedules import constant, cosine, from_function, linear, milestones
from pytorch_accelerated.tracking import InMemoryRunHistory
from tests.recording import adamw, sgd

SVG = "{http://www.w3.org/2000/svg}"


def picture(shown):
    """Return the root of the only picture in what a notebook shows."""
    html = shown._repr_html_()
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    return ElementTree.fromstring(base64.b64decode(data))


def texts(shown):
    return [element.text for element in picture(shown).iter(f"{SVG}text")]


def cells(shown):
    html = shown._repr_html_()
    table = ElementTree.fromstring(html[html.index("<table") : html.rindex("</table>") + 8])
    return [[cell.text or "" for cell in row] for row in table.iter("tr")]


def curves(shown):
    """Return the points of each curve, in the picture's coordinates."""
    drawn = [path for path in picture(shown).iter(f"{SVG}path") if path.get("fill") == "none"]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d"))]
        for path in drawn
    ]


def test_a_preview_is_drawn_where_its_values_are():
    planned = preview(linear(100, start=0.0) >> cosine(300, end=0.1), base=3e-4)
    (points,) = curves(planned)
    assert len(points) == 402  # and what holds then
    (left, low), (_, peak) = points[0], points[100]
    across = (points[399][0] - left) / 399
    for update in (50, 100, 250, 399):
        x, y = points[update]
        assert x == pytest.approx(left + across * update, abs=0.1)
        share = planned.value("value", update) / 3e-4
        assert y == pytest.approx(low + (peak - low) * share, abs=0.1)
    assert {"linear", "cosine", "0.0003", "3e-05", "update", "400"} <= set(texts(planned))
    assert cells(planned) == [
        ["phase", "from", "to", "value"],
        ["linear", "0", "99", "0 → 0.000297"],
        ["cosine", "100", "399", "0.0003 → 3.00074e-05"],
        ["then holds", "400", "", "3e-05"],
    ]


@pytest.mark.parametrize(
    ("schedule", "unit", "last"),
    [
        (linear(0.05, start=0.0) >> cosine(), "% of the run", "100"),
        (linear(500, start=0.0) >> cosine(), "update, in a run of 10,000, 100 an epoch", "10,000"),
        (linear(50, start=0.0) >> cosine(50), "update", "100"),
    ],
)
def test_a_schedule_is_drawn_over_its_updates_or_over_an_example_of_a_run(schedule, unit, last):
    shown = texts(schedule)
    assert shown[-1] == unit
    assert last in shown
    lines = [re.split("  +", line) for line in str(schedule).splitlines()]
    assert [list(filter(None, row)) for row in cells(schedule)] == [
        list(filter(None, line)) for line in lines
    ]
    assert repr(schedule).replace(">", "&gt;") in schedule._repr_html_()


@pytest.mark.parametrize(
    "schedule", [from_function(lambda k: 1.0), linear(20_000, start=0.0) >> cosine()]
)
def test_without_an_end_or_an_example_of_a_run_there_is_the_table(schedule):
    html = schedule._repr_html_()
    assert "<table>" in html
    assert "<img" not in html


def test_groups_and_fields_have_panels_names_and_strokes():
    optimizer = adamw([0.1, 0.02], weight_decay=0.1)
    for group, name in zip(optimizer.param_groups, ("<b>&", "head"), strict=True):
        group["name"] = name
    scheduler = ParamScheduler(optimizer, lr=cosine(60), weight_decay=linear(60))
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    assert {"<b>&", "head", "lr", "weight_decay", "update (now: 20)"} <= set(texts(scheduler))
    paths = [p for p in picture(scheduler).iter(f"{SVG}path") if p.get("fill") == "none"]
    assert [path.get("stroke-dasharray") for path in paths] == ["none", "10 4", "none"]
    assert cells(scheduler)[0][3:] == ["lr[<b>&]", "lr[head]", "weight_decay"]


def test_a_scheduler_that_never_ends_shows_its_text():
    class Mine(StatefulSchedulerBase):
        def get_updated_values(self, num_updates):
            return 0.1

    assert Mine(sgd([0.1]))._repr_html_() is None
    assert ParamScheduler(sgd([0.1]), lr=cosine(10**9))._repr_html_() is None


def test_what_is_not_a_number_is_a_gap_and_one_value_a_dot():
    gap = curves(Preview({"lr": [[1.0, math.nan, 2.0, math.inf, 3.0]]}))
    assert len(gap[0]) == 3
    (dot,) = curves(preview(constant(1), 1))
    assert len(dot) == 3
    assert curves(Preview({"lr": [[None]]})) == []
    assert len(curves(preview(milestones({3: 0.5}), base=[0.1 * k for k in range(1, 13)]))) == 12


def test_no_plotting_library_is_imported():
    code = (
        "import sys\n"
        "from pytorch_accelerated.preview import preview\n"
        "from pytorch_accelerated.schedules import cosine\n"
        "assert 'svg' in cosine(10)._repr_html_()\n"
        "assert 'svg' in preview(cosine(10))._repr_html_()\n"
        "for name in ('matplotlib', 'plotly', 'pandas', 'torch'):\n"
        "    assert name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_history_shows_its_metrics():
    history = InMemoryRunHistory()
    assert history._repr_html_() == "<p>no metrics</p>"
    for loss, note in ((1.0, "a"), (math.nan, "b"), (0.25, "c")):
        history.update_metric("<loss>", loss)
        history.update_metric("note", note)
    history.update_metric("accuracy", 0.5)
    assert {"<loss>", "accuracy", "epoch", "1", "3"} <= set(texts(history))
    assert cells(history)[1:] == [
        ["<loss>", "3", "1", "0.25", "1", "0.25"],
        ["accuracy", "1", "0.5", "0.5", "0.5", "0.5"],
    ]
