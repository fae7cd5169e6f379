"""The checkpoints of an output folder: found, numbered, set aside, and deleted when there are more than asked for."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_ext.training.checkpoints.manifest import DamagedError, read_manifest

logger = logging.getLogger(__name__)

# with a leading underscore neither Trainer nor an upload to the Hub takes them for checkpoints
BROKEN, EARLIER, REPLACED, GOING = "_broken", "_earlier", "_replaced", "_deleting"


def list_checkpoints(folder: Path) -> dict[int, Path]:
    """Give the ``checkpoint-N`` folders by N, the lowest first."""
    found = {}
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        number = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name)
        if number is not None and path.is_dir():
            found[int(number[1])] = path
    return dict(sorted(found.items()))


def set_aside(checkpoint: Path, *, prefix: str = BROKEN) -> Path:
    """Rename a checkpoint so that nothing takes it for one any more, and give its new place."""
    number = 1
    while (place := checkpoint.with_name(f"{prefix}-{checkpoint.name}-{number}")).exists():
        number += 1
    return checkpoint.rename(place)


def delete(checkpoint: Path) -> None:
    """Delete a checkpoint: first its name, so that a half deleted one is never met."""
    shutil.rmtree(set_aside(checkpoint, prefix=GOING), ignore_errors=True)


def rotate(folder: Path, *, limit: int | None, kept: Collection[str]) -> None:
    """Delete the oldest checkpoints until no more are left than asked for.

    The newest one stays, and those to be kept. One that was written for a run that had to stop counts for none and
    goes as soon as there is a newer one, so that a run that was stopped leaves what it would have left otherwise.

    Args:
        folder: The output folder.
        limit: How many stay; unlimited if None or not positive.
        kept: Names of folders that stay whatever their age, such as the best one.
    """
    for leftover in [*folder.glob(f"{GOING}-*"), *folder.glob(f"{REPLACED}-*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    older = list(list_checkpoints(folder).values())[:-1]
    interim = [path for path in older if path.name not in kept and _is_interim(path)]
    for path in interim:
        delete(path)
    if limit is None or limit <= 0:
        return
    rest = [path for path in older if path not in interim]
    free = [path for path in rest if path.name not in kept]
    surplus = len(rest) + 1 - max(limit, 1 + len(rest) - len(free))
    for path in free[: max(surplus, 0)]:
        logger.info("Deleting %s (--save_total_limit %d).", path, limit)
        delete(path)


def _is_interim(checkpoint: Path) -> bool:
    try:
        return read_manifest(checkpoint).interim
    except DamagedError:
        return False
