"""Takes the picture of the page that the command in "Edit a schedule" opens, with a joint dragged.

python -m tests.browser.screenshot_edit [FILE]
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS, EXECUTABLE
from tests.test_documentation import blocks_of

DOCS = Path(__file__).parents[2] / "docs"
FILE = DOCS / "images" / "edit-page.png"


def main(file: Path) -> None:
    (block,) = blocks_of(DOCS / "tasks" / "edit_a_schedule.rst")
    command = [sys.executable, "-m", "pytorch_accelerated", *shlex.split(block.code)[1:]]
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().split()[2]
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(address)
        page.wait_for_selector(".joint")
        ring = page.locator('[data-joint="lr 1"]').bounding_box()
        assert ring is not None
        x, y = ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 140, y, steps=4)
        page.wait_for_selector('[data-joint="lr 1"].held[aria-label*="update 2"]')
        page.screenshot(path=file)
        browser.close()
        server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
