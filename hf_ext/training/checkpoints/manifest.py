"""The record that makes a checkpoint count: its files with their sizes and checksums, written last of all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "checkpoint_manifest.json"


class DamagedError(ValueError):
    """A checkpoint has no readable manifest, or is not what its manifest says."""


@dataclass(frozen=True)
class Manifest:
    """What is known of a checkpoint when it is committed.

    Args:
        step: Optimizer steps that it was written after.
        run: Name of the run, which a resumed run keeps.
        committed: When, in seconds since 1970.
        interim: Whether it was written for a run that had to stop, between the steps that are saved anyway.
        fingerprint: What the run was made of, see ``take_fingerprint``.
        files: Path within the folder to size (bytes) and SHA-256.
    """

    step: int
    run: str
    committed: float
    interim: bool
    fingerprint: dict[str, Any]
    files: dict[str, tuple[int, str]] = field(default_factory=dict)


def write_manifest(
    folder: Path, *, step: int, run: str, fingerprint: dict[str, Any], interim: bool = False
) -> Manifest:
    """Commit a checkpoint: every file to the disk, then their list, whole or not at all.

    The manifest appears under its name by one rename, after all that it speaks of has been synced. It carries a
    checksum of its own.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            sync(path)
            files[path.relative_to(folder).as_posix()] = (path.stat().st_size, checksum(path))
    manifest = Manifest(step, run, time.time(), interim, fingerprint, files)
    content = asdict(manifest)
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text(json.dumps({**content, "checksum": _checksum_of(content)}, indent=1) + "\n", encoding="utf-8")
    sync(temporary)
    os.replace(temporary, folder / MANIFEST)
    sync(folder)
    sync(folder.parent)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a checkpoint without looking at the files.

    Raises:
        DamagedError: If there is none, or it is not what was written.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = content.pop("checksum")
        if known != _checksum_of(content):
            raise DamagedError(f"{MANIFEST} is damaged")
        content["files"] = {name: (int(size), str(sha)) for name, (size, sha) in content["files"].items()}
        return Manifest(**content)
    except FileNotFoundError:
        raise DamagedError(f"it has no {MANIFEST}, so it was not written to its end") from None
    except DamagedError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read") from error


def verify(folder: Path) -> Manifest:
    """Compare every file of a checkpoint with its manifest; files that it does not list are not looked at.

    Raises:
        DamagedError: Naming the first file that is missing or differs.
    """
    manifest = read_manifest(folder)
    for name, (size, sha) in manifest.files.items():
        path = folder / name
        try:
            found = path.stat().st_size if path.is_file() else None
            if found is None:
                raise DamagedError(f"{name} is missing")
            if found != size:
                raise DamagedError(f"{name} has {found} bytes instead of {size}")
            if checksum(path) != sha:
                raise DamagedError(f"{name} has been changed or damaged")
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from error
    return manifest


def checksum(path: Path) -> str:
    """Give the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
