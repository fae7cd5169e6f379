"""What a trainer does about its checkpoints: choose one to go on from, commit new ones, delete old ones."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.adapters import find_other_adapter
from hf_ext.training.checkpoints.agreement import decide_together
from hf_ext.training.checkpoints.disk import check_space, explain_no_room
from hf_ext.training.checkpoints.fingerprint import find_changes, take_fingerprint
from hf_ext.training.checkpoints.manifest import write_manifest
from hf_ext.training.checkpoints.model_folder import swapped_in
from hf_ext.training.checkpoints.recovery import Recovery, begin_anew, find_newest, open_named
from hf_ext.training.checkpoints.rotation import REPLACED, rotate, set_aside
from hf_ext.training.checkpoints.vocabularies import find_other_vocabularies

logger = logging.getLogger(__name__)

FIX = "resume with the data and the flags of the run that saved it, or name another --output_dir"


class CheckpointKeeper:
    """The checkpoints of one trainer.

    A checkpoint counts when its manifest is written, after every file has reached the disk; only then do older ones
    go. A run is resumed from one that is whole and was written by a run of the same data, labels, effective batch,
    order of rows and versions.

    Args:
        trainer: Whose they are.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.run = ""
        self.interim = False  # whether what is saved next is for a run that has to stop
        self._fingerprint: dict[str, Any] | None = None
        self._limit: int | None = None
        self._holds_back = False

    def begin(self, asked: str | bool | None) -> str | None:
        """Choose where the run begins; every process gets the answer of the main one.

        Args:
            asked: A folder; True or ``"last"`` for the newest whole checkpoint of the output folder; anything empty to
                begin anew.

        Returns:
            The checkpoint to go on from, or None.

        Raises:
            UserError: If there is no whole checkpoint, the run was another one, or the disk has no room.
        """
        self._fingerprint = None
        chosen, self.run = decide_together(lambda: self._choose(asked))
        return chosen

    def _choose(self, asked: str | bool | None) -> tuple[str | None, str]:
        recovery = self._recover(asked)
        if recovery.checkpoint is not None:
            self._compare(recovery)
        check_space(self.trainer)
        recovery.set_aside()
        if recovery.checkpoint is None:
            return None, uuid.uuid4().hex
        logger.info("The run goes on from %s.", recovery.checkpoint)
        return str(recovery.checkpoint), recovery.manifest.run if recovery.manifest else uuid.uuid4().hex

    def _recover(self, asked: str | bool | None) -> Recovery:
        args = self.trainer.args
        if asked is True or asked == "last":
            return find_newest(args, or_none=getattr(args, "resume_or_start", False))
        return open_named(Path(asked), args) if asked else begin_anew(args)

    def _compare(self, recovery: Recovery) -> None:
        folder = recovery.checkpoint
        assert folder is not None
        model = self.trainer.accelerator.unwrap_model(self.trainer.model, keep_torch_compile=False)
        changes = find_other_vocabularies(self.trainer, folder) + find_other_adapter(model, folder)
        if recovery.manifest is not None:
            changes += find_changes(recovery.manifest.fingerprint, self.fingerprint)
        if changes and getattr(self.trainer.args, "resume_changed_run", False):
            for change in changes:
                logger.warning("%s: %s; going on (--resume_changed_run).", folder, change)
        elif changes:
            more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
            raise UserError(
                f"{changes[0]}{more}", where=str(folder), fix=f"{FIX}; --resume_changed_run goes on all the same"
            )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the run is made of, looked at once."""
        if self._fingerprint is None:
            self._fingerprint = take_fingerprint(self.trainer)
        return self._fingerprint

    @contextmanager
    def saving(self, trial: Any) -> Iterator[None]:
        """Commit what is saved inside, then delete what is too old; a checkpoint that fails is gone without a trace.

        Raises:
            UserError: If the disk takes no more.
        """
        trainer, args = self.trainer, self.trainer.args
        parent = Path(trainer._get_output_dir(trial))
        folder = parent / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.global_step}"
        replaced = None
        if args.should_save and folder.exists():  # never write into a checkpoint that counts
            replaced = set_aside(folder, prefix=REPLACED)
        trainer.accelerator.wait_for_everyone()
        try:
            with self._rotation_held_back():
                yield
            trainer.accelerator.wait_for_everyone()
            if args.should_save:
                self._commit(folder)
        except BaseException as error:
            if args.should_save:
                shutil.rmtree(folder, ignore_errors=True)
                if replaced is not None:
                    replaced.rename(folder)
            answer = explain_no_room(error, folder)
            if answer is None:
                raise
            raise answer from error
        if args.should_save:
            self._rotate(parent)
        trainer.accelerator.wait_for_everyone()

    def _commit(self, folder: Path) -> None:
        write_manifest(
            folder,
            step=self.trainer.state.global_step,
            run=self.run,
            fingerprint=self.fingerprint,
            interim=self.interim,
        )

    def _rotate(self, parent: Path) -> None:
        best = self.trainer.state.best_model_checkpoint
        # after an extra one the run that goes on from it decides what goes
        limit = None if self.interim else self.trainer.args.save_total_limit
        rotate(parent, limit=limit, kept=[Path(best).name] if best else [])

    @contextmanager
    def _rotation_held_back(self) -> Iterator[None]:
        """Keep Trainer from deleting older checkpoints before the new one counts."""
        args = self.trainer.args
        self._limit, args.save_total_limit, self._holds_back = args.save_total_limit, None, True
        try:
            yield
        finally:
            args.save_total_limit, self._holds_back = self._limit, False

    def place_for_model(self, folder: Path) -> AbstractContextManager[Path]:
        """Give the place to write a model to: the folder of a checkpoint itself, beside any other one."""
        return nullcontext(folder) if self._holds_back else swapped_in(folder)

    def arguments_text(self) -> str:
        """Give the run's arguments as JSON, with the limit that is held back while saving."""
        args = self.trainer.args
        if not self._holds_back:
            return args.to_json_string() + "\n"
        args.save_total_limit = self._limit
        try:
            return args.to_json_string() + "\n"
        finally:
            args.save_total_limit = None
