"""A folder of folds: which models it holds, written when they are trained and read wherever they answer together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

from hf_ext.errors import UserError

FOLDS_FILE = "folds.json"


def fold_folder(folder: Path, fold: int) -> Path:
    """Give the folder of one fold, counted from 1."""
    return folder / f"fold-{fold}"


def read_folds_file(folder: str | Path | None) -> dict[str, Any] | None:
    """Read what ``--num_folds`` has written about its folds; None where a folder holds none.

    Raises:
        UserError: If the file cannot be read.
    """
    path = Path(folder or ".") / FOLDS_FILE
    if not folder or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["num_folds"] = int(content["num_folds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot be read ({error})", where=str(path), fix="name one of its folds") from None
    return content


def find_folds(folder: str | Path | None) -> list[Path]:
    """Give the folders of the trained folds in their order; empty where a folder holds none.

    Raises:
        UserError: If one of them is not trained yet.
    """
    content = read_folds_file(folder)
    if content is None:
        return []
    folds = [fold_folder(Path(folder or "."), fold) for fold in range(1, content["num_folds"] + 1)]
    lacking = next((fold for fold in folds if not (fold / CONFIG_NAME).is_file()), None)
    if lacking is not None:
        fix = "go on with --resume_from_checkpoint last, or name a fold that is trained"
        raise UserError("this fold is not trained yet", where=str(lacking), fix=fix)
    return folds
