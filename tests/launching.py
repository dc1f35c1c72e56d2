"""Real processes for tests: whatever happens in them, the test goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]

MEASURES = "TESTS_MEASURE_COVERAGE"

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


# Most of a launch goes into imports, so they are made once, in a process that others are forked of.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytorch_accelerated.trainer", "torch._dynamo", "torch.testing"])


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def forked(
    num_processes: int, script: str, *arguments: object, seconds: float, **environment: str
) -> str:
    """Run a module or file on so many processes, with what torchrun sets; return what they print.

    They fail the test if one of them fails.
    """
    port = str(free_port())
    with tempfile.NamedTemporaryFile() as output:
        ranks = []
        for rank in range(num_processes):
            given = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(num_processes),
                "LOCAL_WORLD_SIZE": str(num_processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "ACCELERATE_USE_CPU": "1",
                **environment,
            }
            what = (script, [*map(str, arguments)], given, output.name)
            ranks.append(FORKS.Process(target=_be_rank, args=what))
            ranks[-1].start()
        until = time.monotonic() + seconds
        try:
            for process in ranks:
                process.join(max(0.0, until - time.monotonic()))
            codes = [process.exitcode for process in ranks]
        finally:
            for process in ranks:
                process.kill()
        printed = _read(output.file)
    assert codes == [0] * num_processes, f"exit codes {codes}:\n{printed[-8000:]}"
    return printed


def _be_rank(script: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # the usual one for its own children
    with open(output, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(ROOT)
    sys.argv[1:] = arguments
    without_datasets()
    with measured():
        if script.endswith(".py"):
            runpy.run_path(script, run_name="__main__")
        else:
            runpy.run_module(script, run_name="__main__", alter_sys=True)
    sys.stdout.flush()


@contextmanager
def measured() -> Iterator[None]:
    """Measure coverage in a process that was forked, if the tests are asked for it."""
    if MEASURES not in os.environ:
        yield
        return
    from coverage import Coverage

    coverage = Coverage(data_suffix=True)
    coverage.start()
    try:
        yield
    finally:
        coverage.stop()
        coverage.save()


def without_datasets() -> None:
    """Keep Accelerate from importing Hugging Face's data sets on each of several processes.

    It does so to know one of their classes, and it takes longer than most of what is tested.
    """
    sys.modules["datasets"] = None  # type: ignore[assignment]


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
