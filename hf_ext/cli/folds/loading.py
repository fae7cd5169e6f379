"""The model of a fold, loaded to answer as this run computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_ext.errors import UserError
from hf_ext.inference.folds import read_folds_file
from hf_ext.inference.predictor import Predictor
from hf_ext.training.arguments import ExtTrainingArguments


def asks_for_folds(model_args: Any, data_args: Any) -> bool:
    """Tell whether a run trains folds, or starts from a folder of them."""
    return bool(data_args.num_folds) or read_folds_file(model_args.model_name_or_path) is not None


def load_fold(folder: Path, args: ExtTrainingArguments) -> Any:
    """Give the ``RowClassifier`` or ``SentenceTagger`` of a fold.

    Args:
        folder: Of the fold.
        args: Device, precision and batch size.
    """
    precision = "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32"
    batch = args.per_device_eval_batch_size
    return Predictor.from_pretrained(str(folder), device=str(args.device), precision=precision, batch_size=batch).task


def check_prediction(args: ExtTrainingArguments) -> None:
    """Refuse to do anything but predict with a folder of folds.

    Raises:
        UserError: If the run trains or evaluates.
    """
    if args.do_train or args.do_eval or not args.do_predict:
        raise UserError(
            "a folder of folds answers test rows only (--do_predict)",
            where="--model_name_or_path",
            fix="name one of its folds, such as its fold-1",
        )
