"""The reference library (pytorch-accelerated 0.1), which has our package's name: in a child."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

REQUIREMENT = "pytorch-accelerated==0.1.*"
ROOT = Path(__file__).parent.parent


class Reference:
    """The reference library in a folder of its own, and child processes that import it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._children: list[subprocess.Popen[str]] = []
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--no-deps", "--target", self._folder.name, REQUIREMENT],
            check=True,
            capture_output=True,
            timeout=120,
        )
        self.version = next(
            one.version
            for one in distributions(path=[self._folder.name])
            if one.name == "pytorch-accelerated"
        )

    def candidate(self, kind: str, argument: int) -> Callable[[], float]:
        """Return a function that has a child measure once, and gives the seconds."""
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.reference", kind, str(argument)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder.name,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([self._folder.name, str(ROOT)])},
        )
        self._children.append(child)

        def measured() -> float:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            return float(child.stdout.readline())

        measured()  # it is under way
        return measured

    def close(self) -> None:
        """End the children and remove the folder."""
        for child in self._children:
            child.kill()
            child.wait()
        self._folder.cleanup()


def main(kind: str, argument: int) -> None:
    """Measure once for each line that comes in."""
    from benchmarks import loops, stepping
    from benchmarks.measure import repeated, use_one_core

    use_one_core()
    if kind == "loop":
        measured = loops.per_update(loops.quiet(loops.ours), loops.data(argument), argument)
    elif kind == "start-up":
        measured = loops.start_up()["Trainer"]
    else:
        measured = repeated(stepping.cosine_lr_scheduler(argument))
    for _ in sys.stdin:
        print(measured(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
