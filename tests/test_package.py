"""What is built: an sdist that tests itself, and a wheel that works on its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from hatch_build import described
from pytorch_accelerated import __version__

ROOT = Path(__file__).parent.parent
#: Quick, as they import no torch: of schedules and of the texts.
OWN_TESTS = [
    "tests/schedules/test_golden.py",
    "tests/schedules/test_expression.py",
    "tests/test_links.py",
]


class Built(NamedTuple):
    """What was built: the sdist, unpacked, and the wheel, installed alone."""

    sdist: Path
    wheel: Path
    python: Path


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both, and install the wheel where nothing else is but what it depends on."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    sdist = folder / packed.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=sdist)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    run(*pip, "--quiet", wheel, cwd=folder)
    # The dependencies are those of this environment; links within it are not followed from here.
    own = Path(run(python, "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=folder))
    (Path(str(own).strip()) / "others.pth").write_text(sysconfig.get_path("purelib"))
    return Built(sdist, wheel, python)


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_the_sdist_has_what_its_tests_and_make_need(built: Built) -> None:
    assert {path.name for path in built.sdist.iterdir() if path.name != "__pycache__"} == {
        *("pytorch_accelerated", "tests", "docs", "examples", "benchmarks"),
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", ".gitignore"),
        *("Makefile", "pyproject.toml", "hatch_build.py"),
        *("requirements.lock", "requirements-no-deps.lock"),
    }
    for folder, pattern in (("tests", "**/*.py"), ("benchmarks", "**/*"), ("docs", "**/*.rst")):
        found = {path.relative_to(ROOT) for path in (ROOT / folder).glob(pattern)}
        expected = {
            path for path in found if not {"_build", "_generated", "__pycache__"} & {*path.parts}
        }
        assert {path for path in expected if not (built.sdist / path).exists()} == set()


def test_the_wheel_is_the_package_alone_and_the_whole_of_it(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
    modules = (ROOT / "pytorch_accelerated").rglob("*.py")
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= {*names}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"pytorch_accelerated", f"pytorch_accelerated-{__version__}.dist-info"}
    assert {"pytorch_accelerated/py.typed", "pytorch_accelerated/preview/page.html"} <= {*names}


def test_the_wheel_runs_on_its_own(built: Built, tmp_path: Path) -> None:
    where = "import pytorch_accelerated as p; print(p.__file__)"
    assert str(built.python.parent.parent) in run(built.python, "-c", where, cwd=tmp_path)
    command = built.python.parent / "pytorch-accelerated"
    assert run(command, "--version", cwd=tmp_path) == f"pytorch-accelerated {__version__}\n"
    assert "then holds  10" in run(command, "preview", "cosine(10)", cwd=tmp_path)
    for name in ("plan.csv", "plan.html"):
        run(command, "preview", "cosine(10)", "-o", name, cwd=tmp_path)
        assert (tmp_path / name).stat().st_size > 100


def test_the_sdists_own_tests_pass_with_the_wheel(built: Built, tmp_path: Path) -> None:
    copy = shutil.copytree(built.sdist, tmp_path / "sdist")
    shutil.rmtree(copy / "pytorch_accelerated")
    options = ["-q", "-p", "no:cacheprovider"]
    printed = run(built.python, "-m", "pytest", *options, *OWN_TESTS, cwd=copy)
    assert re.search(r"\d{3,} passed", printed)


def test_versions_and_pythons_are_stated(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.10"
    classifiers = metadata.get_all("Classifier") or []
    for minor in range(10, 15):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert "accelerate>=1.14" in (metadata.get_all("Requires-Dist") or [])


def test_the_description_has_no_link_that_leads_nowhere_on_another_page(metadata: Message) -> None:
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert "## See a schedule" in text
    assert "the [quickstart]" not in text
    assert "the quickstart" in text


def test_links_of_the_description_lead_into_the_source_where_it_is_known() -> None:
    text = "![A plot](docs/a.png) of [this](docs/a.rst), [that](https://b.org/c) and [here](#d)."
    assert described(text) == " of this, [that](https://b.org/c) and [here](#d)."
    assert described(text, "https://e.org/f") == (
        "![A plot](https://e.org/f/raw/main/docs/a.png) of "
        "[this](https://e.org/f/blob/main/docs/a.rst), [that](https://b.org/c) and [here](#d)."
    )
