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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

FORMAT = 1
MANIFEST = "manifest.json"
FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "state.safetensors")

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_CHUNK = 1 << 22
_IN_WORK, _REPLACED = ".writing", ".replaced"

# What a system says of a place that is full.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# What it says if a file or folder was removed, or put there, while this process writes.
_CHANGED = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}

# What it says of folders, and of network file systems, that nothing can be flushed to.
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class CheckpointError(Exception):
    """A checkpoint cannot be used: it is incomplete, damaged, or not what it has to be."""


def to_json(value: Any) -> bytes:
    """Return plain values as JSON, in the one way in which it is written."""
    return json.dumps(value, separators=(",", ":"), sort_keys=False, allow_nan=False).encode()


# Writing


def write_folder(
    target: Path,
    files: Mapping[str, Iterable[Any]],
    position: Mapping[str, int],
    replaces_any: bool = False,
) -> None:
    """Write a checkpoint's folder; it appears complete or not at all.

    Args:
        target: The folder. One that is there already is replaced if it is a checkpoint.
        files: By name, the bytes of each file in pieces.
        position: Where in the run it was made.
        replaces_any: Whether to replace also a folder that is not, or no longer, a checkpoint.

    Raises:
        OSError: It could not be written; what was there before is unharmed.
        FileExistsError: Something else is at that place.
    """
    recover(target)
    is_checkpoint = os.path.lexists(target / MANIFEST)
    is_used = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if is_used and not is_checkpoint and not replaces_any:
        raise FileExistsError(
            f"{target} exists and is not a checkpoint: choose another place, or remove it first"
        )
    aside, replaced = _aside(target, _IN_WORK), _aside(target, _REPLACED)
    try:
        aside.mkdir(parents=True)
        entries = {name: _write_file(aside / name, pieces) for name, pieces in files.items()}
        manifest = {
            "format": FORMAT,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "position": dict(position),
            "files": entries,
        }
        _write_file(aside / MANIFEST, [_sealed(manifest)])
        _flush_folder(aside)
        if os.path.lexists(target):
            # A folder cannot be renamed onto another one. Killed between the two renames, the
            # old one is found by `recover`.
            target.rename(replaced)
        aside.rename(target)
        _flush_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            recover(target)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno,
            f"the checkpoint {target} could not be written ({error.strerror or error}); "
            f"{_advice(error, target.parent)}",
        ) from error
    _remove(replaced)


def _advice(error: OSError, folder: Path) -> str:
    if not os.path.isdir(folder):
        return (
            f"{folder} is gone, with all checkpoints in it. Is the place still there? If another "
            f"run uses it, give each run a folder of its own"
        )
    kept = "earlier checkpoints are as they were. "
    if error.errno in _CHANGED:
        return (
            f"{kept}Something else changed {folder} meanwhile. If another run uses it, give each "
            f"run a folder of its own"
        )
    if error.errno not in _FULL:
        return f"{kept}See to {folder}, then resume the run"
    with contextlib.suppress(OSError):
        kept += f"There are {shutil.disk_usage(folder).free / 1e9:.3f} GB free there: "
    return f"{kept}make room, then resume the run"


def _write_file(path: Path, pieces: Iterable[Any]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:
        for piece in pieces:
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


def is_leftover(path: Path) -> bool:
    """Return whether a path is what a killed process has left of writing a checkpoint."""
    return path.name.startswith(".") and path.name.endswith((_IN_WORK, _REPLACED))


def recover(target: Path) -> None:
    """Clear what a killed process has left of writing a folder."""
    replaced = _aside(target, _REPLACED)
    if os.path.lexists(replaced) and not os.path.lexists(target):
        replaced.rename(target)
    _remove(replaced)
    _remove(_aside(target, _IN_WORK))


def recover_all(folder: Path) -> None:
    """Clear what killed processes have left in a folder; no other one may be writing there."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if is_leftover(path):
            recover(path.with_name(path.name[1:].rpartition(".")[0]))


def remove_folder(path: Path) -> None:
    """Remove a checkpoint; killed meanwhile, it does not look like a damaged one."""
    aside = _aside(path, _IN_WORK)
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
    """Open a file of a checkpoint for reading.

    Raises:
        CheckpointError: It is missing, cannot be read, or is not a plain file: a link leads
            elsewhere, and a device has no end.
    """
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
    """Return what a JSON file of a checkpoint holds, and its text.

    Raises:
        CheckpointError: It cannot be read, or is not JSON.
    """
    with opened(path) as file:
        text = file.read()
    try:
        return json.loads(text.decode("utf-8")), text
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it is not JSON ({error})") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint, checked in itself.

    Raises:
        CheckpointError: It is missing, damaged, of another format, or leads out of the folder.
    """
    path = folder / MANIFEST
    manifest, text = read_json(path)
    sealed = dict(manifest) if isinstance(manifest, dict) else {}
    sealed.pop("sha256", None)
    if sealed.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {sealed.get('format')!r}, but this version reads {FORMAT}"
        )
    if _sealed(sealed) != text:
        raise CheckpointError(f"{path} is damaged: its checksum does not match")
    files, position = sealed.get("files"), sealed.get("position")
    if not isinstance(files, dict) or not isinstance(position, dict):
        raise CheckpointError(f"{path} is damaged: it does not list files and position")
    for name, entry in files.items():
        if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
            raise CheckpointError(
                f"{path} names the file {name!r}: only files within the folder are read"
            )
        if not isinstance(entry, dict) or type(entry.get("size")) is not int:
            raise CheckpointError(f"{path} is damaged: it gives no size of {name}")
    if not all(type(value) is int for value in position.values()):
        raise CheckpointError(f"{path} is damaged: its position is {position!r}")
    missing = [name for name in FILES if name not in files]
    if missing:
        raise CheckpointError(f"{path} is damaged: it does not list {', '.join(missing)}")
    return sealed


def verify(folder: Path) -> dict[str, Any]:
    """Read every file of a checkpoint and compare it with the manifest.

    Args:
        folder: The checkpoint.

    Returns:
        The manifest.

    Raises:
        CheckpointError: A file is missing or not what was written.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name, entry in manifest["files"].items():
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
