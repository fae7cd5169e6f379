"""The train, validation and test files of a folder, found by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hf_ext.errors import UserError

SPLIT_STEMS = {"train": ("train",), "validation": ("dev", "val", "valid", "validation", "eval"), "test": ("test",)}


def find_split_paths(folder: str | Path, split_of: Callable[[Path], str | None], *, items: str) -> dict[str, Path]:
    """Find one path a split.

    Args:
        folder: Where to look; not in what lies below it.
        split_of: Which split a path of the folder belongs to; None for what is none.
        items: What the files hold, for the message: ``rows``, ``sentences``.

    Raises:
        UserError: If the folder is missing or holds none, or two paths could be the same split.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder), fix="check --data_dir")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = split_of(path)
        if split is None:
            continue
        if split in found:
            raise UserError(
                f"both {found[split].name} and {path.name} could be the {split} {items}",
                where=str(folder),
                fix=f"name one with --{split}_file",
            )
        found[split] = path
    if not found:
        raise UserError("no train, dev or test file", where=str(folder), fix="name files with --train_file and so on")
    return found
