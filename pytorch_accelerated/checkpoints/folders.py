"""Folders that are complete or absent, and that say so themselves.

A folder is filled beside its place under another name, flushed, and renamed. Its manifest lists
every file with size and checksum, so whatever happened to one later is found.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

FORMAT, SHARDED_FORMAT = 1, 2
MANIFEST = "manifest.json"
FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "state.safetensors")

# What a run calls its checkpoints.
OWN_NAME = re.compile(r"update_\d+(_end)?")

_CHUNK = 1 << 22
_IN_WORK, _REPLACED = ".writing", ".replaced"

# What it says of folders, and of network file systems, that nothing can be flushed to.
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class CheckpointError(Exception):
    """A checkpoint cannot be used: it is incomplete, damaged, or not what it has to be."""


Written = dict[bytes, tuple[Path, dict[str, Any]]]
"""What never changes: where it was written last, and the manifest's entry there."""


def part_name(index: int) -> str:
    """Return the name of a file that holds one of the `bytes` in a state."""
    return f"{index:04d}.bin"


def shard_name(process: int) -> str:
    """Return the name of the file that holds what a process has written of a sharded checkpoint."""
    return f"shard_{process:05d}.safetensors"


def to_json(value: Any) -> bytes:
    """Return plain values as JSON, in the one way in which it is written."""
    return json.dumps(value, separators=(",", ":"), sort_keys=False, allow_nan=False).encode()


# Writing


def write_folder(
    target: Path,
    files: Mapping[str, Iterable[Any]],
    position: Mapping[str, int],
    replaces_any: bool = False,
    written: Written | None = None,
    others: Callable[[Path], dict[str, dict[str, Any]]] | None = None,
) -> None:
    """Write a checkpoint's folder, with the bytes of its files in pieces, completely or not at all.

    A checkpoint that is there already is replaced; with ``replaces_any``, what was one once, too.
    If it cannot be written, what was there before is unharmed. What is ``bytes`` in one piece never
    changes: where the checkpoint that was ``written`` before has it, the two share the file.
    If ``others`` write files of it, too, `begin` was called before; it waits for them and returns
    their entries in the manifest.
    """
    written = {} if written is None else written
    aside, replaced = aside_of(target), _aside(target, _REPLACED)
    if others is None:
        begin(target, replaces_any)
    with _undone(target):
        entries = {
            name: _linked(aside / name, pieces, written) or write_file(aside / name, pieces)
            for name, pieces in files.items()
        }
        if others is not None:
            entries |= others(aside)
        manifest = {
            "format": FORMAT if others is None else SHARDED_FORMAT,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "position": dict(position),
            "files": entries,
        }
        write_file(aside / MANIFEST, [_sealed(manifest)])
        _flush_folder(aside)
        if os.path.lexists(target):
            # A folder cannot be renamed onto another one. Killed between the two renames, the
            # old one is found by `recover`.
            target.rename(replaced)
        aside.rename(target)
        _flush_folder(target.parent)
    _remove(replaced)
    written.clear()
    for name, pieces in files.items():
        if isinstance(pieces, bytes):
            written[pieces] = target / name, entries[name]


def begin(target: Path, replaces_any: bool = False) -> None:
    """Make the folder that a checkpoint is written to before it is put in its place."""
    recover(target)
    is_checkpoint = os.path.lexists(target / MANIFEST)
    is_used = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if is_used and not is_checkpoint and not replaces_any:
        raise FileExistsError(
            f"{target} exists and is not a checkpoint: choose another place, or remove it first"
        )
    with _undone(target):
        aside_of(target).mkdir(parents=True)


@contextmanager
def _undone(target: Path) -> Iterator[None]:
    """Clear what was written of a checkpoint if the rest could not be; say what follows."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            recover(target)
        if not isinstance(error, OSError):
            raise
        kept = "earlier checkpoints are as they were. If the disk is full, make room; if"
        if not os.path.isdir(target.parent):
            kept = f"{target.parent} is gone, with all checkpoints in it. If"
        raise OSError(
            error.errno,
            f"the checkpoint {target} could not be written ({error.strerror or error}); {kept} "
            f"another run uses the folder, give each run a folder of its own; then resume the run",
        ) from error


def _linked(path: Path, pieces: Iterable[Any], written: Written) -> dict[str, Any] | None:
    """Have a file at a second place; return the manifest's entry, or ``None`` if that cannot be."""
    if not isinstance(pieces, bytes) or pieces not in written:
        return None
    there, entry = written[pieces]
    try:
        found = there.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry["size"]:
            return None  # it was damaged since
        os.link(there, path)
    except OSError:  # it was removed, or the file system has no links
        return None
    return entry


def write_file(path: Path, pieces: Iterable[Any]) -> dict[str, Any]:
    """Write a file that is not there yet, and flush it; return the manifest's entry."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            left = memoryview(piece).cast("B")
            digest.update(left)
            size += len(left)
            while len(left):
                left = left[file.write(left[:_CHUNK]) :]
        flush(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def flush(descriptor: int) -> None:
    """Have what was written reach the disk, as far as the file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def _flush_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # not every system opens folders
        return
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def _sealed(manifest: dict[str, Any]) -> bytes:
    """Return the manifest with a checksum of itself."""
    return to_json({**manifest, "sha256": hashlib.sha256(to_json(manifest)).hexdigest()})


# Removing, and what is left of writing and removing


def _aside(target: Path, suffix: str) -> Path:
    target = target if target.name else target.absolute()  # "." tells no name
    return target.with_name(f".{target.name}{suffix}")


def aside_of(target: Path) -> Path:
    """Return where a folder is filled before it is put in its place."""
    return _aside(target, _IN_WORK)


def recover(target: Path) -> None:
    """Clear what a killed process has left of writing a folder."""
    replaced = _aside(target, _REPLACED)
    if os.path.lexists(replaced) and not os.path.lexists(target):
        replaced.rename(target)
    _remove(replaced)
    _remove(aside_of(target))


def recover_all(folder: Path) -> None:
    """Clear what killed processes have left in a folder; no other one may be writing there."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") and path.name.endswith((_IN_WORK, _REPLACED)):
            recover(path.with_name(path.name[1:].rpartition(".")[0]))


def remove_folder(path: Path) -> None:
    """Remove a checkpoint; killed meanwhile, it does not look like a damaged one."""
    aside = aside_of(path)
    _remove(aside)
    path.rename(aside)
    _remove(aside)


def _remove(path: Path) -> None:
    """Remove a folder, or a link to one, as far as that is possible."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


# Reading


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain file of a checkpoint: a link leads elsewhere, a device has no end."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise CheckpointError(
                f"{path} is not a plain file: only files within the folder are read"
            )
        with path.open("rb", buffering=0) as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: {path.parent} is not complete") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def read_json(path: Path) -> tuple[Any, bytes]:
    """Return what a JSON file of a checkpoint holds, and its text."""
    with opened(path) as file:
        text = file.read()
    try:
        return json.loads(text.decode("utf-8")), text
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it is not JSON ({error})") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint, checked in itself."""
    path = folder / MANIFEST
    manifest, text = read_json(path)
    sealed = dict(manifest) if isinstance(manifest, dict) else {}
    sealed.pop("sha256", None)
    if sealed.get("format") not in (FORMAT, SHARDED_FORMAT):
        raise CheckpointError(
            f"{path} has format {sealed.get('format')!r}, but this version reads {FORMAT} and "
            f"{SHARDED_FORMAT}"
        )
    if _sealed(sealed) != text:
        raise CheckpointError(f"{path} is damaged: its checksum does not match")
    files, position = sealed.get("files"), sealed.get("position")
    if not isinstance(files, dict) or not isinstance(position, dict):
        raise CheckpointError(f"{path} is damaged: it does not list files and position")
    own = [*FILES]
    if sealed["format"] == SHARDED_FORMAT:
        num_shards = sum(str(name).startswith("shard_") for name in files)
        own = ["state.json", *map(shard_name, range(num_shards))]
    names = [*own, *map(part_name, range(len(files) - len(own)))]
    if not files.keys() <= set(names):
        raise CheckpointError(f"{path} lists {[*files]}, but only {names} are read")
    for name in names:
        entry = files.get(name)
        if not isinstance(entry, dict) or type(entry.get("size")) is not int:
            raise CheckpointError(f"{path} is damaged: it does not list {name} with its size")
    if not all(type(value) is int for value in position.values()):
        raise CheckpointError(f"{path} is damaged: its position is {position!r}")
    return sealed


def verify(folder: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """Read the files of a checkpoint and compare them with the manifest.

    Args:
        folder: The checkpoint.
        names: The files to read, by default all.

    Returns:
        The manifest.

    Raises:
        CheckpointError: A file is missing or not what was written.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name, entry in manifest["files"].items():
        if names is not None and name not in names:
            continue
        path, digest = folder / name, hashlib.sha256()
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry["size"]:
                raise CheckpointError(
                    f"{path} is damaged: it has {size} bytes, but {entry['size']} were written"
                )
            while piece := file.read(_CHUNK):
                digest.update(piece)
        if digest.hexdigest() != entry.get("sha256"):
            raise CheckpointError(
                f"{path} is damaged: its checksum is not the one that was written"
            )
    return manifest


# Which there are, and which one a run continues from


def place_of(folder: Path) -> tuple[int, int, int]:
    """Return the updates, epochs and batches done in a checkpoint, as far as that can be told."""
    try:
        position = read_manifest(folder)["position"]
        return (position.get("num_updates", 0), position.get("epoch", 0), position.get("batch", 0))
    except CheckpointError:
        number = re.search(r"\d+", folder.name)
        is_last = folder.name.endswith("_end")  # of those after the same update
        return (int(number.group()) if number else -1, sys.maxsize if is_last else -1, -1)


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, damaged ones included; the furthest one comes last.

    Args:
        folder: The folder; one that is not there has no checkpoints.
    """
    found = [
        (place_of(path), path.name, path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if not path.name.startswith(".") and not os.path.isfile(path) and is_one(path)
    ]
    return [path for _, _, path in sorted(found)]


def is_one(folder: Path) -> bool:
    """Return whether a folder is a checkpoint, as far as that can be told if it is damaged."""
    is_named = OWN_NAME.fullmatch(folder.absolute().name) is not None
    return is_named or os.path.lexists(folder / MANIFEST)


def problem_of(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint; ``None`` if it is complete and undamaged."""
    try:
        verify(folder)
    except CheckpointError as error:
        return str(error)
    return None


def find(
    resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> tuple[Path | None, list[str]]:
    """Find the checkpoint that a run continues from, if any, and why newer ones cannot be used.

    What would mix two courses of training in one folder is refused.
    """
    present = [] if checkpoint_dir is None else checkpoints_in(checkpoint_dir)
    if resume is None and present:
        raise ValueError(
            f"checkpoint_dir holds checkpoints of a run already, {present[-1]} for one: pass "
            f"resume='auto' to continue it, or another folder for a new run"
        )
    if resume is None or (resume == "auto" and not present):
        return None, []
    if resume == "auto":
        return _newest_good(present)
    start = Path(resume)
    recover(start)
    if not start.is_dir():
        raise FileNotFoundError(f"there is no checkpoint or folder of checkpoints at {start}")
    candidates = [start] if is_one(start) else checkpoints_in(start)
    if not candidates:
        raise CheckpointError(f"{start} is not a checkpoint, and there is none in it")
    folder, problems = _newest_good(candidates)
    if present and all(path.resolve() != folder.resolve() for path in present):
        return _newest_good(present)  # the branch that began at `folder` was interrupted
    if present and place_of(present[-1]) > place_of(folder):
        raise ValueError(
            f"checkpoint_dir holds later checkpoints, such as {present[-1]}, than {folder}, "
            f"which resume names: pass resume='auto' to continue from the newest, or another "
            f"checkpoint_dir for a branch from here"
        )
    return folder, problems


def _newest_good(candidates: list[Path]) -> tuple[Path, list[str]]:
    problems: list[str] = []
    for folder in reversed(candidates):
        problem = problem_of(folder)
        if problem is None:
            return folder, problems
        problems.append(problem)
    raise CheckpointError("no checkpoint can be used: " + "; ".join(problems))
