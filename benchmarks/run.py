"""Runs the benchmarks, each group in a process of its own, and shows what they found.

python -m benchmarks.run [group …] [--quick] [--output FOLDER]
python -m benchmarks.run --markdown [--short] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import groups, report
from benchmarks.measure import stay_on_one_core
from benchmarks.reference import REQUIREMENT, ROOT, Reference, install

PEERS = ("torch", "accelerate", "lightning", "transformers", "pytorch-ignite", "optax", "timm")
ALONE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ACCELERATE_USE_CPU": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "PYTHONWARNINGS": "ignore",
}


def machine() -> dict[str, str]:
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")


def versions(reference: str | None) -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if reference is not None:
        found["pytorch-accelerated (the reference)"] = reference
    return found


def measure(name: str, quick: bool, reference: Path | None, folder: Path) -> dict[str, Any]:
    """Measure a group in a new process."""
    path = folder / f"{name}.json"
    command = [sys.executable, "-m", "benchmarks.run", name, "--group-to", str(path)]
    command += ["--quick"] if quick else []
    command += [] if reference is None else ["--reference", str(reference)]
    here = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **ALONE, "PYTHONPATH": here}
    # Installed packages come with bytecode, so the time to compile is no time to import.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"The group {name} failed:\n{ended.stderr}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def measure_here(name: str, quick: bool, reference: str | None, path: Path) -> None:
    """Measure a group in this process."""
    if name not in ("saving", "records"):  # where a thread writes while training continues
        stay_on_one_core()
    library = None if reference is None else Reference(Path(reference))
    settings = groups.Settings(quick, library)
    try:
        found = groups.measured(name, settings)
    finally:
        if library is not None:
            library.close()
    path.write_text(json.dumps(found))


def run(names: list[str], quick: bool) -> dict[str, Any]:
    """Measure groups one after the other."""
    began = time.monotonic()
    found: dict[str, Any] = {}
    not_measured: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        library: Path | None = folder / "reference"
        number = None
        if groups.NEEDS_REFERENCE.isdisjoint(names):
            library = None
        else:
            try:
                assert library is not None
                number = install(library)
            except (OSError, subprocess.SubprocessError, StopIteration) as error:
                library = None
                not_measured[REQUIREMENT] = f"it cannot be installed ({type(error).__name__})"
        for name in names:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            found[name] = measure(name, quick, library, folder)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "quick": quick,
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
        "versions": versions(number),
        "not_measured": not_measured,
        "groups": found,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="group", help=", ".join(groups.GROUPS))
    parser.add_argument("--quick", action="store_true", help="small and rough: to try it out")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"), metavar="FOLDER")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where else to put the picture")
    parser.add_argument(
        "--markdown", action="store_true", help="print the table of what has a goal"
    )
    parser.add_argument("--short", action="store_true", help="of that, the README's three rows")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put it there, between its marks")
    parser.add_argument("--group-to", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in groups.GROUPS]
    if unknown:
        parser.error(f"{unknown[0]!r} is not a group; there are {', '.join(groups.GROUPS)}")
    if chosen.group_to is not None:
        measure_here(chosen.names[0], chosen.quick, chosen.reference, chosen.group_to)
        return
    path = chosen.output / "benchmarks.json"
    if chosen.markdown:
        cases = report.IN_README if chosen.short else None
        text = report.markdown(json.loads(path.read_text()), cases)
        if chosen.into is None:
            print(text)
        else:
            report.put_into(chosen.into, text)
        return
    result = run(chosen.names or list(groups.GROUPS), chosen.quick)
    chosen.output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    report.plot(result, chosen.plot or chosen.output / "benchmarks.png")
    report.print_table(result)


if __name__ == "__main__":
    main()
