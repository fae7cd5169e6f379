"""Train a model for each fold by the ordinary command, in folders that an interrupted run finds again."""

from __future__ import annotations

import gc
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from hf_ext.errors import UserError
from hf_ext.evaluation.reports import write_atomically
from hf_ext.inference.folds import FOLDS_FILE, fold_folder, read_folds_file
from hf_ext.report.run_record import RUN_FILE
from hf_ext.training.arguments import ExtTrainingArguments, check_output_dir

logger = logging.getLogger(__name__)

Command = Callable[..., dict]


def train_folds(command: Command, argv: Sequence[str], *, args: ExtTrainingArguments, data_args: Any) -> list[Path]:
    """Train every fold that is not finished yet, one after the other.

    Args:
        command: ``main`` of the command; takes its words, and the fold that it leaves out as ``fold``.
        argv: The words of the command line.
        args: Its training arguments.
        data_args: Its data arguments.

    Returns:
        The folder of each fold.

    Raises:
        UserError: If the flags do not go with folds, or the output folder holds something else.
    """
    check_fold_flags(args, data_args)
    folder, resumes = Path(args.output_dir or "."), bool(args.resume_from_checkpoint)
    wanted = {name: getattr(data_args, name) for name in ("num_folds", "split_seed", "drop_duplicates")}
    check_fold_folder(args, wanted)
    stored = read_folds_file(folder)
    PartialState().wait_for_everyone()  # every process has looked, before the first one writes
    if args.process_index == 0:
        if stored and not resumes:  # an interrupted run that is resumed must not take the old ones for its own
            for fold in range(1, stored["num_folds"] + 1):
                shutil.rmtree(fold_folder(folder, fold), ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FOLDS_FILE, json.dumps(wanted, indent=2) + "\n")
    PartialState().wait_for_everyone()
    folders = [fold_folder(folder, fold) for fold in range(1, wanted["num_folds"] + 1)]
    for fold, place in enumerate(folders, start=1):
        if resumes and is_finished(place):
            logger.info("Fold %d of %d is trained already: %s.", fold, len(folders), place)
            continue
        logger.info("Fold %d of %d: trains in %s.", fold, len(folders), place)
        command([*argv, *_words_of_fold(place, resumes=resumes)], fold=fold)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return folders


def check_fold_flags(args: ExtTrainingArguments, data_args: Any) -> None:
    """Refuse flags that folds have no use for, and a prediction without rows, before hours are spent.

    Args:
        args: The training arguments.
        data_args: The data arguments.

    Raises:
        UserError: Naming the first of them.
    """
    if not args.do_train:
        fix = (
            "add --do_train; to predict with trained folds, name their folder by --model_name_or_path without the flag"
        )
        raise UserError("--num_folds trains a model for each fold", fix=fix)
    if args.do_predict and not (data_args.test_file or data_args.data_dir or data_args.dataset_name):
        raise UserError("--do_predict requires test rows, and none are given", fix="pass --test_file")
    if args.tune:
        raise UserError("--num_folds and --tune exclude each other", fix="search first, and train folds by best.yaml")
    if args.push_to_hub:
        raise UserError("--push_to_hub is for one model, not for folds", fix="leave it out, and push the fold you want")
    if args.resume_from_checkpoint not in (None, True):
        raise UserError(
            f"--resume_from_checkpoint {args.resume_from_checkpoint} is a checkpoint of one fold",
            fix="write --resume_from_checkpoint last: finished folds are kept, an unfinished one goes on",
        )


def check_fold_folder(args: ExtTrainingArguments, wanted: dict[str, Any]) -> None:
    """Refuse to begin where something else lies, and to go on where the folds were cut otherwise.

    Args:
        args: The training arguments.
        wanted: How the folds are cut, as ``folds.json`` keeps it.

    Raises:
        UserError: Saying which.
    """
    folder = Path(args.output_dir or ".")
    stored = read_folds_file(folder)
    if not args.resume_from_checkpoint:
        check_output_dir(args)
        if stored is not None and not args.overwrite_output_dir:
            raise UserError(
                f"the output folder already holds {stored['num_folds']} folds",
                where=str(folder),
                fix="go on with --resume_from_checkpoint last, replace them with --overwrite_output_dir, or name "
                "another --output_dir",
            )
    elif stored is None and not args.resume_or_start:
        fix = "leave out --resume_from_checkpoint to start anew"
        raise UserError("no folds to go on with", where=str(folder), fix=fix)
    elif stored not in (None, wanted):
        named = ", ".join(f"--{name} {value}" for name, value in stored.items())
        raise UserError(f"these folds were cut with {named}", where=str(folder / FOLDS_FILE), fix="give the same flags")


def is_finished(folder: Path) -> bool:
    """Tell whether a fold has been trained to its end: ``run.json`` is the last file that a run writes."""
    return (folder / RUN_FILE).is_file()


def _words_of_fold(folder: Path, *, resumes: bool) -> list[str]:
    words = ["--output_dir", str(folder), "--do_eval", "true", "--do_predict", "false"]
    return words + (["--resume_or_start", "true"] if resumes else [])
