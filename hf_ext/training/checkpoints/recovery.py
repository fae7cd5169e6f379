"""Which checkpoint a run goes on from: the newest whole one, or the one that is named."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.manifest import MANIFEST, DamagedError, Manifest, read_manifest, verify
from hf_ext.training.checkpoints.rotation import BROKEN, EARLIER, REPLACED, list_checkpoints, set_aside

logger = logging.getLogger(__name__)


@dataclass
class Recovery:
    """Where a run begins.

    Args:
        checkpoint: The checkpoint that it goes on from; None to begin anew.
        manifest: What that says of itself; None if another program has written it.
        passed_over: Checkpoints of the output folder that are not to be met again, and why; None for those that are
            whole, but of steps that this run has yet to make.
    """

    checkpoint: Path | None
    manifest: Manifest | None
    passed_over: dict[Path, str | None] = field(default_factory=dict)

    def set_aside(self) -> None:
        """Rename what was passed over, with a line for each."""
        for path, reason in self.passed_over.items():
            place = set_aside(path, prefix=EARLIER if reason is None else BROKEN)
            reason = reason or "this run begins before it"
            logger.warning("%s is set aside as %s: %s. Delete it when you do not need it.", path, place.name, reason)


def find_newest(args: TrainingArguments, *, or_none: bool = False) -> Recovery:
    """Find the newest whole checkpoint of the run that wrote into an output folder last.

    Args:
        args: The run's arguments.
        or_none: Begin anew where no checkpoint is whole.

    Raises:
        UserError: If no checkpoint is whole, saying what is wrong with the newest one.
    """
    folder = Path(args.output_dir or ".")
    _put_back_replaced(folder)
    found = list_checkpoints(folder)
    run = _last_run(found.values())
    passed_over: dict[Path, str | None] = {}
    for path in reversed(found.values()):
        try:
            manifest = verify(path)
            if manifest.run != run:
                raise DamagedError("it is of an earlier run")
            _check_whole(path, args)
            return Recovery(path, manifest, passed_over)
        except DamagedError as error:
            passed_over[path] = str(error)
    if or_none:
        logger.warning("There is no whole checkpoint in %s: the run begins anew.", folder)
        return Recovery(None, None, passed_over)
    newest = next(iter(passed_over.items()), None)
    raise UserError(
        f"no checkpoint to resume from{f' ({newest[0].name}: {newest[1]})' if newest else ''}",
        where=str(folder),
        fix="begin anew without --resume_from_checkpoint (--resume_or_start does so by itself)"
        + (", or name a checkpoint that you trust by its path" if newest else ""),
    )


def open_named(checkpoint: Path, args: TrainingArguments) -> Recovery:
    """Take the checkpoint that was named; one without a manifest only with a warning.

    Newer ones in the output folder are of steps that this run makes anew.

    Raises:
        UserError: If it is damaged, or lacks what a run goes on with.
    """
    manifest = None
    try:
        if (checkpoint / MANIFEST).exists():
            manifest = verify(checkpoint)
        _check_whole(checkpoint, args)
        step = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).global_step
    except DamagedError as error:
        fix = "name another one, or let --resume_from_checkpoint last find the newest whole one"
        raise UserError(f"the checkpoint cannot be resumed from: {error}", where=str(checkpoint), fix=fix) from error
    if manifest is None:
        logger.warning("%s has no %s: whether it is whole, and of what run, is not known.", checkpoint, MANIFEST)
    return Recovery(checkpoint, manifest, _later(args, step, checkpoint))


def begin_anew(args: TrainingArguments) -> Recovery:
    """Begin a new run; checkpoints of an earlier one in its folder are not to be taken for its own."""
    return Recovery(None, None, _later(args, -1))


def _later(args: TrainingArguments, step: int, checkpoint: Path | None = None) -> dict[Path, str | None]:
    if args.save_strategy == SaveStrategy.NO:
        return {}
    found = list_checkpoints(Path(args.output_dir or "."))
    named = checkpoint.resolve() if checkpoint is not None else None
    return {path: None for number, path in found.items() if number > step and path.resolve() != named}


def find_best_again(state: TrainerState, checkpoint: str | None) -> None:
    """Let a resumed state name its best checkpoint beside the one that it came from, if the folder has been moved.

    Trainer forgets a best checkpoint that is not at the path where it was written.

    Args:
        state: The state after Trainer has resumed.
        checkpoint: The checkpoint that it came from.
    """
    if checkpoint is not None and state.best_global_step and state.best_model_checkpoint is None:
        best = Path(checkpoint).with_name(f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}")
        if best.is_dir():
            state.best_model_checkpoint = str(best)


def _put_back_replaced(folder: Path) -> None:
    """Give a checkpoint its place again that was being replaced when the run was killed."""
    for path in folder.glob(f"{REPLACED}-{PREFIX_CHECKPOINT_DIR}-*"):
        place = path.with_name(path.name.removeprefix(f"{REPLACED}-").rpartition("-")[0])
        try:
            verify(place)
        except DamagedError:
            if place.exists():
                set_aside(place)
            path.rename(place)


def _last_run(checkpoints: Iterable[Path]) -> str | None:
    """Name the run that committed last; a folder with a higher number may be an older run's."""
    manifests = []
    for path in checkpoints:
        try:
            manifests.append(read_manifest(path))
        except DamagedError:
            continue
    return max(manifests, key=lambda manifest: manifest.committed).run if manifests else None


def _check_whole(checkpoint: Path, args: TrainingArguments) -> None:
    """Look for what a run goes on with, whoever has written it.

    Raises:
        DamagedError: If the state of trainer, optimizer, scheduler or random numbers is not there, a file cannot be
            opened, or the best checkpoint that it speaks of is damaged.
    """
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        best = state["best_model_checkpoint"]
    except FileNotFoundError:
        raise DamagedError(f"{TRAINER_STATE_NAME} is missing") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{TRAINER_STATE_NAME} cannot be read") from error
    if not args.deepspeed and not args.fsdp:
        for name in ("optimizer.pt", "scheduler.pt"):
            if not (checkpoint / name).is_file():
                raise DamagedError(f"{name} is missing (a checkpoint of --save_only_model cannot be resumed from)")
        if not any(checkpoint.glob("rng_state*.pth")):
            raise DamagedError("rng_state.pth is missing")
    if not (checkpoint / MANIFEST).exists():
        _open_files(checkpoint)
    if args.load_best_model_at_end and best is not None:
        _check_best(checkpoint.with_name(Path(best).name), checkpoint)


def _check_best(best: Path, checkpoint: Path) -> None:
    if best.name == checkpoint.name or not best.name.startswith(PREFIX_CHECKPOINT_DIR):
        return
    try:
        verify(best)
    except DamagedError as error:
        raise DamagedError(f"its best checkpoint, {best.name}, is damaged: {error}") from error


def _open_files(checkpoint: Path) -> None:
    """Look into files that nobody has noted the checksums of: names of tensors, and torch's own checksums."""
    for path in sorted(checkpoint.iterdir()):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt"):
                    pass
            elif path.suffix in (".pt", ".pth"):
                with zipfile.ZipFile(path) as archive:
                    if archive.testzip() is not None:
                        raise DamagedError(f"{path.name} is damaged")
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
            raise DamagedError(f"{path.name} cannot be read") from error
