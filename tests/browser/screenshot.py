"""Takes the picture of a preview's page: python -m tests.browser.screenshot [FILE]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from pytorch_accelerated.preview import preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import constant, cosine, linear
from tests.browser.chromium import ARGUMENTS, EXECUTABLE

FILE = Path(__file__).parents[2] / "docs" / "images" / "preview-page.png"


def main(file: Path) -> None:
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr, "name": name}
        for name, lr in (("backbone", 1e-4), ("head", 3e-4))
    ]
    scheduler = ParamScheduler(
        torch.optim.AdamW(groups, weight_decay=0.05),
        lr=linear(500, start=0.0) >> cosine(8_000, end=0.1) >> constant(1_500),
        weight_decay=constant(500) >> linear(9_500, end=2.0),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "schedule.html"
        preview(scheduler, num_updates_per_epoch=500).save_html(path, title="schedule.html")
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
