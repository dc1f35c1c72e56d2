"""The page of a preview, in a real browser."""

from __future__ import annotations

import re

import pytest

from pytorch_accelerated.preview import preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import constant, cosine, linear
from tests.browser.chromium import ARGUMENTS, EXECUTABLE
from tests.recording import adamw

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="no chromium found: run tests/browser/install.sh"
)

NAMES = ["<backbone>", "head"]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=EXECUTABLE, args=ARGUMENTS, timeout=60_000
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def planned():
    optimizer = adamw([3e-4, 3e-5], weight_decay=0.05)
    for group, name in zip(optimizer.param_groups, NAMES, strict=True):
        group["name"] = name
    scheduler = ParamScheduler(
        optimizer,
        lr=linear(500, start=0.0) >> cosine(8_000, end=0.1) >> constant(1_500),
        weight_decay=linear(10_000, end=2.0),
    )
    return preview(scheduler, num_updates_per_epoch=300)


@pytest.fixture(scope="module")
def loaded(browser, planned, tmp_path_factory):
    """The page, what it complains about, and what it asks the network for."""
    path = tmp_path_factory.mktemp("page") / "schedule.html"
    planned.save_html(path, title="</script><script>alert(1)</script>")
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(path.as_uri())
    opened.wait_for_selector("#plot .scatterlayer .trace")
    yield opened, complaints, requests
    opened.close()


@pytest.fixture
def page(loaded):
    """The page as it was when it was loaded."""
    opened, complaints, requests = loaded
    opened.evaluate(
        """() => {
            document.querySelectorAll('input[type=checkbox]').forEach(box => box.checked = true);
            document.querySelector('#scale input').checked = true;
            delete document.getElementById('plot').layout.xaxis;
            return draw();
        }"""
    )
    yield opened
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [opened.url]


def lines(page):
    """Return what is drawn: name → values."""
    return page.evaluate(
        "Object.fromEntries(document.getElementById('plot').data.map(t => [t.name, [t.x, t.y]]))"
    )


def scales(page):
    layout = "document.getElementById('plot').layout"
    return page.evaluate(
        f"Object.entries({layout}).filter(([k]) => k.startsWith('yaxis')).map(([, a]) => a.type)"
    )


def hover(page, name, update):
    """Move the mouse onto a point of a curve and return what is shown."""
    place = page.evaluate(
        """async ([name, update]) => {
            const plot = document.getElementById('plot'), full = plot._fullLayout;
            await Plotly.relayout(plot, {'xaxis.range': [update - 10, update + 10]});
            const trace = plot.data.find(t => t.name === name);
            const x = full.xaxis, y = full['yaxis' + trace.yaxis.slice(1)];
            const box = plot.getBoundingClientRect();
            const value = trace.y[trace.x.indexOf(update)];
            return [box.left + x._offset + x.d2p(update), box.top + y._offset + y.d2p(value)];
        }""",
        [name, update],
    )
    page.mouse.move(place[0] - 30, place[1] - 30)
    page.mouse.move(*place, steps=3)
    page.wait_for_function(
        "update => document.querySelector('#plot .hoverlayer').textContent.includes(update)",
        arg=f"update {update:,}",
    )
    return page.text_content("#plot .hoverlayer")


def box(page, place, value):
    return page.locator(f'#{place} input[value="{value}"]')


def test_the_curves_hold_the_exact_values(page, planned):
    drawn = lines(page)
    assert list(drawn) == [f"lr · {name}" for name in NAMES] + ["weight_decay · all groups"]
    for group, name in enumerate(NAMES):
        updates, values = drawn[f"lr · {name}"]
        assert {0, 499, 500, 8_499, 8_500, 9_999} <= set(updates)
        assert values == [planned.value("lr", update, group) for update in updates]
    assert page.locator("#plot .scatterlayer .trace path.js-line").count() == 3


def test_every_point_is_drawn_so_that_joints_are_where_they_belong(page):
    points = page.evaluate(
        """() => [...document.querySelectorAll('#plot path.js-line')].map(
            line => line.getAttribute('d').split(/[ML]/).length - 1)"""
    )
    held = [len(updates) for updates, _ in lines(page).values()]
    # Points on one level may be one stroke.
    assert all(drawn > 0.8 * there for drawn, there in zip(points, held, strict=True))


def test_phases_are_named_and_the_title_is_only_text(page, planned):
    names = page.locator("#plot .annotation-text").all_text_contents()
    assert sorted(names) == ["constant", "cosine", "linear", "linear", "then holds", "then holds"]
    assert page.inner_text("h1") == "</script><script>alert(1)</script>"
    table = page.locator("tr").all()
    cells = [row.locator("th, td").all_text_contents() for row in table]
    lines = [re.split("  +", line) for line in str(planned).splitlines()]
    assert [list(filter(None, row)) for row in cells] == lines
    assert "Of 10,000 updates up to" in page.inner_text("p")


@pytest.mark.parametrize("update", [500, 8_500])
def test_hovering_shows_the_exact_value(page, planned, update):
    text = hover(page, "lr · <backbone>", update)
    assert f"update {update:,}" in text
    assert f"epoch {round(update / 300, 4):g}" in text
    assert "lr · <backbone>" in text
    assert repr(planned.value("lr", update, "<backbone>")) in text


def test_the_scale_can_be_switched(page):
    assert scales(page) == ["linear", "linear"]
    page.check("#scale input[value=log]")
    assert scales(page) == ["log", "log"]
    page.check("#scale input[value=linear]")
    assert scales(page) == ["linear", "linear"]


def test_fields_and_groups_can_be_turned_off_and_on(page):
    everything = list(lines(page))
    box(page, "fields", "weight_decay").uncheck()
    assert list(lines(page)) == everything[:2]
    assert len(scales(page)) == 1
    box(page, "groups", "head").uncheck()
    assert list(lines(page)) == everything[:1]
    assert page.locator("#plot .scatterlayer .trace path.js-line").count() == 1
    box(page, "fields", "weight_decay").check()
    box(page, "groups", "head").check()
    assert list(lines(page)) == everything


def test_dragging_zooms_and_the_zoom_stays_when_a_group_is_turned_off(page):
    area = page.locator("#plot .nsewdrag").first.bounding_box()
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 100, middle)
    page.mouse.down()
    page.mouse.move(area["x"] + 400, middle, steps=5)
    page.mouse.up()
    view = "document.getElementById('plot').layout.xaxis.range"
    page.wait_for_function(f"{view}[0] > 0")
    zoomed = page.evaluate(view)
    assert zoomed[1] < 6_000
    box(page, "groups", "head").uncheck()
    assert page.evaluate(view) == zoomed


def test_a_field_that_all_groups_share_is_shown_while_any_of_them_is(page):
    box(page, "groups", "head").uncheck()
    assert list(lines(page)) == ["lr · <backbone>", "weight_decay · all groups"]
    box(page, "groups", "<backbone>").uncheck()
    assert lines(page) == {}


@pytest.mark.parametrize(("scheme", "lightest"), [("light", 255), ("dark", 40)])
def test_the_page_follows_dark_mode_and_fits_a_phone(browser, loaded, scheme, lightest):
    opened = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    opened.goto(loaded[0].url)
    opened.wait_for_selector("#plot .scatterlayer .trace")
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    levels = [int(level) for level in re.findall(r"\d+", background)]
    assert lightest - 30 <= max(levels) <= lightest
    slabs = opened.evaluate(
        """() => [...document.querySelectorAll('#plot svg')].map(
            svg => getComputedStyle(svg).backgroundColor)"""
    )
    assert set(slabs) <= {"rgba(0, 0, 0, 0)", "transparent"}
    strokes = opened.evaluate(
        """() => [...document.querySelectorAll('#plot path.js-line')].map(
            line => line.style.strokeDasharray)"""
    )
    assert len(set(strokes)) > 1
    opened.close()


def test_the_peak_is_labelled_until_somebody_zooms_in(page, planned):
    labels = page.locator("#plot .ytick text, #plot .y2tick text").all_text_contents()
    assert {"0.0003", "0.1"} <= set(labels)
    modes = "['yaxis', 'yaxis2'].map(name => document.getElementById('plot').layout[name].tickmode)"
    assert page.evaluate(modes) == ["array", "array"]
    page.evaluate("Plotly.relayout('plot', {'yaxis.range[0]': 0, 'yaxis.range[1]': 1e-5})")
    assert page.evaluate(modes) == ["auto", "array"]
    page.evaluate("Plotly.relayout('plot', {'yaxis.autorange': true})")
    assert page.evaluate(modes) == ["array", "array"]


def test_one_update_of_many_groups_is_drawn(browser, tmp_path):
    path = tmp_path / "one.html"
    preview(constant(1), base=[0.1 * i for i in range(1, 13)]).save_html(path)
    opened = browser.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(path.as_uri())
    opened.wait_for_selector("#plot .scatterlayer .trace .points path")
    assert len(lines(opened)) == 12
    assert opened.inner_text("p").startswith("All 1 updates are drawn.")
    assert complaints == []
    opened.close()
