"""A model folder that is whole or, for a moment, not loadable: never half an old and half a new model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_ext.training.checkpoints.disk import explain_no_room
from hf_ext.training.checkpoints.manifest import sync

STAGE = "_saving"  # with a leading underscore an upload to the Hub leaves it out
# without these no program takes the folder for a model
ENTRIES = ("config.json", "adapter_config.json")
WEIGHTS = ("model*.safetensors*", "adapter_model*.safetensors", "pytorch_model*.bin*", "adapter_model.bin")


@contextmanager
def swapped_in(folder: Path) -> Iterator[Path]:
    """Let a model be written beside its place, then move it there file by file, its configuration last.

    Weights of an earlier model go first. A process that is killed in between leaves a folder without a configuration,
    which every program refuses; one that is killed before leaves the earlier model as it was.

    Args:
        folder: Where the model belongs.

    Yields:
        Where it is to be written.

    Raises:
        UserError: If the disk takes no more; the earlier model is then still there.
    """
    stage = folder / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
        for path in stage.rglob("*"):
            if path.is_file():
                sync(path)
    except BaseException as error:
        shutil.rmtree(stage, ignore_errors=True)
        answer = explain_no_room(error, folder)
        if answer is None:
            raise
        raise answer from error
    for entry in ENTRIES:
        (folder / entry).unlink(missing_ok=True)
    for pattern in WEIGHTS:
        for old in folder.glob(pattern):
            old.unlink()
    written = [path.relative_to(stage) for path in stage.rglob("*") if path.is_file()]
    for name in sorted(written, key=lambda name: (name.name in ENTRIES, name)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(stage / name, folder / name)
    shutil.rmtree(stage, ignore_errors=True)
    sync(folder)
