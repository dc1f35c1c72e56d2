"""Folders that are complete or absent, and that say so themselves.

A folder is filled beside its place under another name, flushed, and renamed. Its manifest lists
every file with size and checksum, so whatever happened to one later is found.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_CHUNK = 1 << 22
_IN_WORK, _REPLACED = ".writing", ".replaced"


class CheckpointError(Exception):
    """A checkpoint cannot be used: it is incomplete, damaged, or not what it has to be."""


def to_json(value: Any) -> bytes:
    """The one way in which a value is written as JSON.

    Args:
        value: Plain values.
    """
    return json.dumps(value, separators=(",", ":"), sort_keys=False, allow_nan=False).encode()


def from_json(text: bytes, where: str) -> Any:
    """Read what `to_json` wrote.

    Args:
        text: The JSON.
        where: What to call it in a message.

    Raises:
        CheckpointError: It is no JSON.
    """
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged: it is no JSON ({error})") from None


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
        replaces_any: Whether to replace also a folder that is no checkpoint, or no longer one.

    Raises:
        OSError: It could not be written; what was there before is unharmed.
        FileExistsError: Something else is at that place.
    """
    target = Path(target)
    recover(target)
    is_checkpoint = (target / MANIFEST).exists()
    if target.exists() and not is_checkpoint and not replaces_any and any_entry(target):
        raise FileExistsError(
            f"{target} exists and is no checkpoint: choose another place, or remove it first"
        )
    aside = _aside(target, _IN_WORK)
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
        _put_in_place(aside, target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(
            error.errno,
            f"the checkpoint {target} could not be written ({error.strerror or error}); earlier "
            f"checkpoints are as they were. {_advice(error, target)}",
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


# What a system says of a place that is full.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# What it says if a file or folder was removed, or put there, while this process writes.
_CHANGED = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def _advice(error: OSError, target: Path) -> str:
    if error.errno in _CHANGED:
        return (
            f"Something else changed {target.parent} meanwhile: is it still there? If another run "
            f"uses it, give each run a folder of its own"
        )
    if error.errno not in _FULL:
        return f"See to {target.parent}, then resume the run"
    try:
        free = shutil.disk_usage(target.parent).free
    except OSError:
        return "Is the place still there?"
    return f"There are {free / 1e9:.3f} GB free at that place: make room, then resume the run"


def _write_file(path: Path, pieces: Iterable[Any]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:
        for piece in pieces:
            left = memoryview(piece).cast("B")
            digest.update(left)
            size += len(left)
            while len(left):
                left = left[file.write(left[:_CHUNK]) :]
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def _sealed(manifest: dict[str, Any]) -> bytes:
    """The manifest with a checksum of itself."""
    return to_json({**manifest, "sha256": hashlib.sha256(to_json(manifest)).hexdigest()})


def _put_in_place(aside: Path, target: Path) -> None:
    if target.exists():
        # A folder cannot be renamed onto another one. Killed between the two renames, the old
        # one is found by `recover`.
        replaced = _aside(target, _REPLACED)
        target.rename(replaced)
        aside.rename(target)
        _flush_folder(target.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        aside.rename(target)
        _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # not every system opens folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(target: Path, suffix: str) -> Path:
    target = target if target.name else target.absolute()  # "." tells no name
    return target.with_name(f".{target.name}{suffix}")


def any_entry(folder: Path) -> bool:
    """Whether there is anything in a folder, or it is no folder.

    Args:
        folder: The path.
    """
    return not folder.is_dir() or next(folder.iterdir(), None) is not None


def recover(target: Path) -> None:
    """Clear what a killed process has left of writing a folder.

    Args:
        target: The folder.
    """
    replaced = _aside(target, _REPLACED)
    if replaced.exists():
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(target)
    in_work = _aside(target, _IN_WORK)
    if in_work.exists():
        shutil.rmtree(in_work, ignore_errors=True)


def recover_all(folder: Path) -> None:
    """Clear what killed processes have left of writing any folder in a folder.

    Args:
        folder: The folder; no other process may be writing there.
    """
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        for suffix in (_IN_WORK, _REPLACED):
            if path.name.startswith(".") and path.name.endswith(suffix):
                recover(path.with_name(path.name[1 : -len(suffix)]))


def is_leftover(path: Path) -> bool:
    """Whether a path is what a killed process has left of writing a checkpoint.

    Args:
        path: The path.
    """
    return path.name.startswith(".") and path.name.endswith((_IN_WORK, _REPLACED))


def remove_folder(path: Path) -> None:
    """Remove a checkpoint; killed meanwhile, it does not look like a damaged one.

    Args:
        path: The checkpoint.
    """
    aside = _aside(path, _IN_WORK)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, checked in itself.

    Args:
        folder: The checkpoint.

    Raises:
        CheckpointError: It is missing, damaged, of another format, or leads out of the folder.
    """
    path = folder / MANIFEST
    try:
        check_regular(path)
        text = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is no complete checkpoint: it has no {MANIFEST}") from None
    manifest = from_json(text, str(path))
    sealed = dict(manifest) if isinstance(manifest, dict) else {}
    sealed.pop("sha256", None)
    if not sealed or sealed.get("format") != FORMAT:
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
        if not isinstance(entry, dict) or not isinstance(entry.get("size"), int):
            raise CheckpointError(f"{path} is damaged: it gives no size of {name}")
    if not all(type(value) is int for value in position.values()):
        raise CheckpointError(f"{path} is damaged: its position is {position!r}")
    return sealed


def check_regular(path: Path) -> None:
    """Refuse anything but a plain file, such as a link that leads elsewhere.

    Args:
        path: The file.

    Raises:
        CheckpointError: It is a link, a folder or a device.
        FileNotFoundError: There is nothing.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise CheckpointError(f"{path} is no plain file: only files within the folder are read")


def verify(folder: Path) -> dict[str, Any]:
    """Read every file of a checkpoint and compare it with the manifest.

    Args:
        folder: The checkpoint.

    Returns:
        The manifest.

    Raises:
        CheckpointError: A file is missing or not what was written.
    """
    manifest = read_manifest(folder)
    for name, entry in manifest["files"].items():
        path = folder / name
        try:
            check_regular(path)
            size = path.stat().st_size
            if size != entry["size"]:
                raise CheckpointError(
                    f"{path} is damaged: it has {size} bytes, but {entry['size']} were written"
                )
            if _digest(path) != entry.get("sha256"):
                raise CheckpointError(
                    f"{path} is damaged: its checksum is not that of what was written"
                )
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing") from None
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
    return manifest


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
