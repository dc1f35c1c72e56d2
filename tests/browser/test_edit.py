"""The editor in a real browser: typing, dragging, copying, and what is meant to hurt."""

from __future__ import annotations

import threading

import pytest

from pytorch_accelerated.preview.edit_server import EditServer
from pytorch_accelerated.preview.editing import Draft
from tests.browser.chromium import ARGUMENTS, EXECUTABLE

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="no chromium found: run tests/browser/install.sh"
)

LR = "lr=linear(500, start=0.0) >> cosine(9500, end=0.1)"
TEXT = f"{LR};\nweight_decay=wsd(10_000)"
BASE = "lr=3e-4; weight_decay=0.1"


@pytest.fixture(scope="module")
def opened():
    """The page, its server's origin, what it complains about, and what it asks for."""
    with EditServer(Draft(TEXT, BASE)) as server, sync_api.sync_playwright() as playwright:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(
            executable_path=EXECUTABLE, args=ARGUMENTS, timeout=60_000
        )
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.origin)
        page = context.new_page()
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server.url)
        yield page, server, complaints, requests
        browser.close()
        server.shutdown()
        thread.join()


@pytest.fixture
def page(opened):
    """The page with the first text, drawn."""
    page, server, complaints, requests = opened
    page.set_viewport_size({"width": 1280, "height": 900})
    page.fill("#text", TEXT)
    page.fill("#base", BASE)
    page.fill("#num_updates", "")
    wait(page, "shown && shown.panels.length === 2 && !held && error.hidden")
    # Views of what was half filled in have other values, or other numbers of updates.
    wait(page, "shown.panels[0].joints[1].update === 500 && shown.numUpdates === 10_000")
    wait(page, "Math.max(...shown.panels[0].curves[0].y) === 3e-4")
    yield page
    assert complaints == []
    assert [url for url in requests if not url.startswith((server.url, "data:"))] == []


def wait(page, condition, argument=None):
    """Wait until a condition holds; Playwright's own way is code that the page does not allow."""
    for _ in range(600):
        if page.evaluate(condition, argument):
            return
        page.wait_for_timeout(15)
    raise AssertionError(condition, argument)


def text_is(page, text):
    wait(page, "text => box.text.value === text", text)


_MIDDLE = """name => {
    const place = document.querySelector(`[data-joint="${name}"]`);
    place.scrollIntoView({block: "center"});
    const box = place.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""


def middle(page, joint):
    """Return where a joint is, scrolled into view; drawing anew replaces it."""
    found = None
    for _ in range(100):
        before, found = found, page.evaluate(_MIDDLE, joint)
        if found == before:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(joint)


def drag(page, joint, right, down, is_dropped=True):
    x, y = middle(page, joint)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right / 2, y + down / 2)
    page.mouse.move(x + right, y + down)
    if is_dropped:
        page.mouse.up()
        wait(page, "!held")


def test_curves_joints_and_phases_are_shown(page):
    assert page.locator(".curve").count() == 2
    assert page.evaluate("shown.panels.map(panel => panel.field)") == ["lr", "weight_decay"]
    assert page.evaluate("shown.panels[0].curves[0].y[0]") == 0.0
    names = page.locator("svg.plot text").all_text_contents()
    assert {"linear", "cosine", "constant", "sqrt", "0.0003", "10,000"} <= set(names)
    cells = page.locator("tbody tr").first.locator("td").all_text_contents()
    assert cells == ["linear", "0", "499", "0 → 0.0002994", "0 → 0.0998"]
    assert "update 500, value 0.0003" in page.get_attribute('[data-joint="lr 1"]', "aria-label")


def test_typing_draws_and_errors_say_where(page):
    page.click("#text")
    page.keyboard.press("Control+End")
    page.keyboard.type("; momentum=constant(9)")
    wait(page, "shown.panels.length === 3")
    page.keyboard.type("; eps=cosin(9)")
    wait(page, "!error.hidden && place.textContent.includes('cosin(9)')")
    assert "did you mean cosine" in page.inner_text("#error p")
    assert page.inner_text("#error mark") == "cosin"
    assert page.get_attribute("#text", "aria-invalid") == "true"
    assert page.locator("[data-code]").first.is_disabled()
    assert page.locator(".curve").count() == 3  # what could be read last
    page.click("#error .place")
    page.keyboard.type("linear")
    wait(page, "shown.panels.length === 4 && error.hidden")
    assert page.input_value("#text").endswith("; eps=linear(9)")

    page.fill("#base", "")
    page.fill("#text", "lr=warmup_cosine()")
    wait(page, "!error.hidden && message.textContent.includes('write updates, below')")
    page.fill("#num_updates", "2000")
    wait(page, "error.hidden && shown.numUpdates === 2000")


def test_dragging_aside_changes_lengths_in_the_text(page):
    width = page.evaluate("scales(shown.panels[0], panels.clientWidth).x(1000) - LEFT")
    drag(page, "lr 1", width, 2)  # a little down does not count
    text_is(page, TEXT.replace("(500", "(1500").replace("9500", "8500"))
    wait(page, "shown.panels[0].joints[1].update === 1500")
    drag(page, "weight_decay 1", -width, 0)
    wait(page, "shown.panels[1].joints[1].update === 7000")
    assert page.input_value("#text").endswith("wsd(10_000, decay=0.3)")


def test_dragging_down_changes_ends_and_escape_gives_the_text_back(page):
    down = page.evaluate("(HEIGHT - TOP - BOTTOM) / 2")
    drag(page, "lr 1", 1, down)
    text_is(page, TEXT.replace("start=0.0", "start=0.0, end=0.5"))
    before = page.input_value("#text")
    drag(page, "lr 1", 60, 0, is_dropped=False)
    wait(page, "text => box.text.value !== text", before)
    page.keyboard.press("Escape")
    text_is(page, before)
    page.mouse.up()
    wait(page, "!held && shown.panels[0].joints[1].update === 500")


def test_a_drag_that_a_field_refuses_says_so(page):
    drag(page, "lr 2", 0, 200, is_dropped=False)
    wait(page, "document.querySelector('.read').textContent.includes('out of range')")
    page.mouse.up()
    wait(page, "!held")
    text_is(page, TEXT)


def test_keys_move_a_joint_and_keep_the_focus(page):
    page.focus('[data-joint="lr 1"]')
    page.keyboard.press("Shift+ArrowRight")
    text_is(page, TEXT.replace("(500", "(501").replace("9500", "9499"))
    wait(page, "document.activeElement.dataset.joint === 'lr 1'")
    page.keyboard.press("ArrowDown")
    wait(page, "box.text.value.includes('start=0.0, end=0.9')")
    wait(page, "document.activeElement.dataset.joint === 'lr 1'")


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("python", "from pytorch_accelerated.schedulers import ParamScheduler\n"),
        ("yaml", 'schedule:\n  lr: "linear(500, start=0.0) >> cosine(9500, end=0.1)"\n'),
        ("command", "pytorch-accelerated preview 'lr=linear(500, start=0.0) >> cosine(9500"),
    ],
)
def test_buttons_copy_code(page, kind, start):
    page.click(f'[data-code="{kind}"]')
    wait(page, "copied.textContent === 'copied'")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith(start)
    assert page.text_content("#code") == text == page.evaluate(f"shown.code.{kind}")
    page.evaluate("copied.textContent = ''")


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "lr=linear(5, '</script><script>alert(1)</script>')",
        "lr=linear(" + "9" * 1900 + ")",
        "(" * 1500,
        "linear(1).repeat(1_000_000)",
        "x" * 50_000,
    ],
    ids=len,
)
def test_hostile_texts_are_only_texts(page, text, opened):
    page.fill("#base", "")
    page.fill("#text", text)
    if len(text) > 40_000:  # the browser itself writes a refusal into its console
        wait(page, "message.textContent.includes('did not take this (413)')")
        complaints = opened[2]
        assert [one for one in complaints if "413" not in one] == []
        complaints.clear()
    else:
        wait(page, "error.hidden === false && panels.classList.contains('stale')")
    assert page.evaluate("[...document.querySelectorAll('img, script')].length") == 1
    page.fill("#text", "lr=cosine(7)")
    wait(page, "shown.numUpdates === 7 && error.hidden")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    wait(page, "document.querySelector('.plot').getBoundingClientRect().width < innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    drag(page, "lr 1", 30, 0)
    wait(page, "text => box.text.value !== text", TEXT)
