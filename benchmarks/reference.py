"""The reference library (pytorch-accelerated 0.1), which has our package's name: in a child."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.measure import Measured

REQUIREMENT = "pytorch-accelerated==0.1.61"
ROOT = Path(__file__).parent.parent


def install(folder: Path) -> str:
    """Put the reference library into ``folder``, next to nothing else; returns its version."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--target", str(folder), REQUIREMENT],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return next(
        one.version
        for one in distributions(path=[str(folder)])
        if one.name == "pytorch-accelerated"
    )


class Reference:
    """Child processes that import the reference library from the folder that it is in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[str]] = []

    def candidate(self, kind: str, argument: int) -> Measured:
        """Return a function that has a child measure once, and gives the seconds."""
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.reference", kind, str(argument)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(self._folder), str(ROOT)])},
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
        """End the children."""
        for child in self._children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
        self._children = []


def main(kind: str, argument: int) -> None:
    """Measure once for each line that comes in."""
    from benchmarks import loops, stepping
    from benchmarks.measure import no_bystanders, repeated, stay_on_one_core

    stay_on_one_core()
    if kind == "loop":
        measured = loops.per_update(loops.quiet(loops.ours), loops.data(argument), argument)
    elif kind == "by hand":
        measured = loops.per_update(loops.quiet(loops.pytorch), loops.data(argument), argument)
    elif kind == "start-up":
        dataset = loops.data(argument, loops.FEW)
        measured = loops.until_first_update(loops.quiet(loops.ours), dataset, argument)
    else:
        measured = repeated(stepping.cosine_lr_scheduler(argument))
    sys.stdin.readline()
    print(measured(), flush=True)  # now all is imported
    with no_bystanders():
        for _ in sys.stdin:
            print(measured(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
