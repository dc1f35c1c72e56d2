"""Takes the picture of the page that "See the schedule" makes of its plan.yaml.

python -m tests.browser.screenshot [FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from pytorch_accelerated import cli
from tests.browser.chromium import ARGUMENTS, EXECUTABLE
from tests.test_documentation import blocks_of

DOCS = Path(__file__).parents[2] / "docs"
FILE = DOCS / "images" / "preview-page.png"


def main(file: Path) -> None:
    blocks = blocks_of(DOCS / "tasks" / "see_the_schedule.rst")
    (config,) = (block.code for block in blocks if block.caption == "plan.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "schedule.html"
        path.with_name("plan.yaml").write_text(config)
        arguments = ["--config", str(path.with_name("plan.yaml")), "-o", str(path)]
        cli.main(["preview", *arguments])
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1100, "height": 920})
        page.goto(path.as_uri())
        page.wait_for_selector("#plot .scatterlayer .trace")
        area = page.locator("#plot .nsewdrag").first.bounding_box()
        assert area is not None
        x, y = area["x"] + area["width"] * 0.425, area["y"] + area["height"] * 0.35
        page.mouse.move(x - 20, y)
        page.mouse.move(x, y, steps=3)
        page.wait_for_selector("#plot .hoverlayer .hovertext")
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
