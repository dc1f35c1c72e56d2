"""Real processes for tests: whatever happens in them, the test goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def torchrun(num_processes: int, *script: object) -> list[str]:
    """Return the command that runs ``script`` on so many processes of this machine."""
    return [*TORCHRUN, "--standalone", f"--nproc-per-node={num_processes}", *map(str, script)]


def run(command: Sequence[str], seconds: float, **environment: str | None) -> str:
    """Run one command, return what it printed, and fail with that if it fails.

    An environment variable that is None is unset.
    """
    (code,), output = run_together([command], seconds, **environment)
    assert code == 0, f"exit code {code}:\n{output[-8000:]}"
    return output


def printed_by(module: str, **environment: str | None) -> Any:
    """Run a module in a process of its own, and return the JSON on the last line that it printed.

    For JAX, which starts threads: a process with threads is not one that other tests can fork.
    """
    return json.loads(run([sys.executable, "-m", module], 300, **environment).splitlines()[-1])


def run_together(
    commands: Sequence[Sequence[str]], seconds: float, **environment: str | None
) -> tuple[list[int], str]:
    """Run commands at the same time; return their exit codes and what they printed.

    Output goes to a file: a pipe stays open as long as any grandchild lives, and reading it to its
    end would wait for a process that hangs.
    """
    given = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "1",
        **environment,
    }
    env = {name: value for name, value in given.items() if value is not None}
    with tempfile.TemporaryFile() as output:
        running = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for command in commands
        ]
        until = time.monotonic() + seconds
        try:
            codes = [process.wait(max(0.0, until - time.monotonic())) for process in running]
        except subprocess.TimeoutExpired as error:
            for process in running:
                _end(process)
            raise AssertionError(f"{error}\n{_read(output)[-8000:]}") from None
        finally:
            for process in running:
                _end(process)
        return codes, _read(output)


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()  # a launcher ends its workers, which are in sessions of their own
    try:
        process.wait(45)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
