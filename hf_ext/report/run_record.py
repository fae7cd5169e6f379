"""What a run was made of, for somebody who wants to know in a year: ``run.json``."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hf_ext.report.folder_files import list_files

RUN_FILE = "run.json"
TRAINED_BY = "trained_by"  # in the record of a run that did not train: that of the one which did
PACKAGES = ("hf_ext", "torch", "transformers", "datasets", "accelerate", "tokenizers", "numpy", "scikit-learn")
SECRET = ("token", "password", "secret", "api_key")
SECRETS_APART = ("tokens", "token_", "tokenizer")  # of names that only look like one
LARGEST_HASHED = 4 * 2**30  # bytes; of a larger file size and time are noted
MOST_FILES = 200  # of a folder
GIT_SECONDS = 10.0


def record_run(
    folder: Path,
    *,
    did: Sequence[str],
    started: float,
    arguments: Mapping[str, Mapping[str, Any]],
    sources: Iterable[str | None],
    device: Any,
    processes: int = 1,
    cost: Mapping[str, float],
) -> Path:
    """Write ``run.json``, as the last file of a run, since it lists the others; give its path.

    A run that did not train keeps the record of the run that has trained the model in the same folder.

    Args:
        folder: Output folder.
        did: What the run did, ``train`` among it if it has made what lies in the folder.
        started: When it began, as ``time.time`` gives it.
        arguments: By group, see ``describe_arguments``.
        sources: Files and folders that were read, several in one text with commas between; None is passed over.
        device: The device of this process.
        processes: How many processes the run had.
        cost: What it has cost, by name.
    """
    paths = [part.strip() for source in sources if source for part in source.split(",") if part.strip()]
    record: dict[str, Any] = {
        "did": list(did),
        "started": _moment(started),
        "ended": _moment(time.time()),
        "arguments": arguments,
        "data": hash_files(paths),
        "versions": describe_versions(),
        "git": describe_git(Path(__file__).parent),
        "machine": describe_machine(device, processes=processes),
        "cost": dict(cost),
        "files": list_files(folder, since=started),
    }
    path = folder / RUN_FILE
    earlier = None if "train" in did else _read(path)
    if earlier:
        trained_by = earlier if "train" in earlier.get("did", ()) else earlier.get(TRAINED_BY)
        record |= {TRAINED_BY: trained_by} if trained_by else {}
    temporary = path.with_name(f".{path.name}.tmp")
    folder.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(record, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def describe_arguments(arguments: Any, *, changed_only: bool = False) -> dict[str, Any]:
    """Give the values of a dataclass of arguments, without tokens and passwords.

    Args:
        arguments: An instance.
        changed_only: Leave out those that stand at their default.
    """
    described = {}
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if _is_secret(field.name) or not field.init or (changed_only and value == default):
            continue
        described[field.name] = _plain(value)
    return described


def describe_versions() -> dict[str, str | None]:
    """Give the versions of Python and of the packages that decide what a run does."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@lru_cache(maxsize=4)
def describe_git(folder: Path) -> dict[str, Any] | None:
    """Give commit, branch and changed files (that git tracks) of the checkout that a folder is in; None without one."""
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "status.relativePaths=false",
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=no",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    head = dict(line.removeprefix("# branch.").partition(" ")[::2] for line in lines if line.startswith("# branch."))
    if done.returncode or "oid" not in head:
        return None
    changed = [line.rpartition(" ")[2] for line in lines if not line.startswith("#")]
    return {"commit": head["oid"], "branch": head.get("head"), "changed_files": changed}


def describe_machine(device: Any, *, processes: int) -> dict[str, Any]:
    """Give device, processes, processor and system.

    Args:
        device: The device of this process.
        processes: How many processes the run had.
    """
    described = {
        "device": str(device),
        "processes": processes,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }
    if str(device).startswith("cuda"):
        import torch

        described["gpu"] = torch.cuda.get_device_name(device)
        described["cuda"] = torch.version.cuda
    return described


def hash_files(paths: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Give size and SHA-256 of each file, of a folder those of its files; what does not exist is left out.

    A file that is too large to be read again gets the time of its last change in place of the checksum.
    """
    found = {}
    for given in paths:
        path = Path(given)
        inside = sorted(p for p in path.rglob("*") if p.is_file())[:MOST_FILES] if path.is_dir() else [path]
        for file in inside:
            if file.is_file():
                found[str(file)] = _hash_file(file)
    return found


def _hash_file(path: Path) -> dict[str, Any]:
    status = path.stat()
    if status.st_size > LARGEST_HASHED:
        return {"bytes": status.st_size, "changed": _moment(status.st_mtime)}
    with path.open("rb") as file:
        return {"bytes": status.st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _moment(seconds: float) -> str:
    """Write a moment in ISO 8601 (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _is_secret(name: str) -> bool:
    lowered = name.lower()
    for harmless in SECRETS_APART:
        lowered = lowered.replace(harmless, "")
    return any(word in lowered for word in SECRET)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if not _is_secret(str(key))}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    value = getattr(value, "value", value)  # an enumeration
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return getattr(sys.modules.get(package), "__version__", None)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = next((line for line in file if line.startswith("model name")), "")
    except OSError:
        named = ""
    return named.partition(":")[2].strip() or platform.processor() or platform.machine()
