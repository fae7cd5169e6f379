"""Pickles that would do something, and how to find any pickle in a file."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
import zipfile
from pathlib import Path

import torch


class Poison:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def make_mark(folder: Path) -> Path:
    """Give the folder that a poison which works leaves behind, once it has been seen to work."""
    path = folder / "poisoned"
    pickle.loads(pickle.dumps(Poison(path)))
    path.rmdir()
    return path


def write_poison(path: Path, mark: Path, *, plain: bool) -> None:
    """Write a pickle, or a file of torch with one inside."""
    if plain:
        path.write_bytes(pickle.dumps(Poison(mark)))
    else:
        torch.save({"state": Poison(mark)}, path)


def holds_pickle(data: bytes) -> bool:
    """Tell whether a file is a pickle of any protocol or holds one: zipped (as torch does), gzipped, in an array."""
    if data.startswith(b"\x1f\x8b"):
        return holds_pickle(gzip.decompress(data))
    if data.startswith(b"\x93NUMPY"):
        return b"'|O'" in data[:200]
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(holds_pickle(archive.read(name)) for name in archive.namelist())
    try:
        return sum(1 for _ in pickletools.genops(data)) > 1
    except Exception:  # whatever else it is
        return False
