"""Every code block in the documentation and the README runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytorch_accelerated.cli import main
from pytorch_accelerated.preview.editing import Draft, view
from tests.launching import TORCHRUN

ROOT = Path(__file__).parent.parent
SHELLS = ("shell", "bash", "sh")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the name of the file that it shows, its place."""

    language: str
    caption: str
    line: int
    code: str


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page that are executed, or written to files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        pattern = r"^```(?P<language>\w+)(?P<options>)\n(?P<code>.*?)^```$"
        flags = re.MULTILINE | re.DOTALL
    else:
        pattern = (
            r"^\.\. code-block:: (?P<language>\w+)\n(?P<options>(?:[ ]+:.*\n)*)\n"
            r"(?P<code>(?:[ ]{3,}.*\n|\n)+)"
        )
        flags = re.MULTILINE
    found = []
    for match in re.finditer(pattern, text, flags):
        caption = re.search(r":caption: (.+)", match["options"])
        if match["language"] in ("python", *SHELLS) or caption is not None:
            line = text[: match.start("code")].count("\n") + 1
            code = textwrap.dedent(match["code"])
            found.append(Block(match["language"], caption[1] if caption else "", line, code))
    return found


PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.rst"))]
    if not {"_build", "_generated"} & {*path.parts} and blocks_of(path)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_one_after_another(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [page.name])  # LightningCLI reads it
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page):
        if block.caption:
            Path(block.caption).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            padded = "\n" * (block.line - 1) + block.code  # a traceback shows the page's own line
            exec(compile(padded, os.fspath(page), "exec"), names)  # noqa: S102
        else:
            for command in block.code.replace("\\\n", "").splitlines():
                run(command, capsys)


def run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a line of a shell block; what would install or test everything is only looked up."""
    words = shlex.split(command, comments=True)
    match words:
        case []:
            pass
        case ["pytorch-accelerated", "edit", *arguments]:
            # It would serve until Ctrl-C, as tests/preview/test_edit_server.py lets it.
            assert main(["edit", *arguments, "--help"]) == 0, command
            text, _, base = arguments
            assert "error" not in view(Draft(text, base))
        case ["pytorch-accelerated", *arguments]:
            code = main(arguments)
            printed = capsys.readouterr()
            assert (code, printed.err) == (0, ""), command
        case ["pip", "install", "-e", package]:
            found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", package)
            assert found is not None, command
            project = (ROOT / "pyproject.toml").read_text()
            extras = re.search(r"^\[project\.optional-dependencies\]\n((?:.+\n)+)", project, re.M)
            assert extras is not None
            wanted = set(found[1].split(",")) if found[1] else set()
            assert wanted <= set(re.findall(r"^(\w+) =", extras[1], re.M)), command
        case ["make", target]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(), command
        case ["until", "python", "train.py;", *_]:
            subprocess.run(["bash", "-n", "-c", command], check=True)
        case ["python", script]:
            launch(sys.executable, script)
        case ["torchrun" | "accelerate", *_, "train.py"]:
            pass  # tests/trainer/test_processes.py launches so
        case ["torchrun", *arguments]:  # on a port that nobody else takes
            launch(*TORCHRUN, "--standalone", *arguments)
        case _:
            pytest.fail(f"Nobody has run this command, nor said why: {command}")


def launch(*command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
