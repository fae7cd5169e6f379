"""How much is padded is asked for in two places: by the data flags of the official scripts, and by the strategy."""

from __future__ import annotations

import logging
from typing import Any

from hf_ext.errors import UserError
from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.batching.arguments import BUDGET, GROUP, OFFICIAL_GROUPING, PACK, PAD_MAX

logger = logging.getLogger(__name__)


def settle_padding(args: ExtTrainingArguments, data_args: Any) -> None:
    """Make ``--pad_to_max_length`` and ``--length_strategy pad_max`` the same, and leave packed rows alone.

    Args:
        args: The run's training arguments, whose ``length_strategy`` is set.
        data_args: The data arguments, whose ``pad_to_max_length`` is set; with ``packing`` if rows may be packed.

    Raises:
        UserError: If two flags contradict one another.
    """
    if getattr(data_args, "packing", "none") != "none":
        _leave_packed_rows(args)
    if args.length_strategy == PAD_MAX:
        data_args.pad_to_max_length = True
    if not data_args.pad_to_max_length or args.length_strategy in (None, PAD_MAX):
        return
    if args.length_strategy != GROUP:
        what = f"--pad_to_max_length and --length_strategy {args.length_strategy} contradict one another"
        raise UserError(what, fix="leave out one of them")
    logger.warning("With --pad_to_max_length every batch is as long as the longest: nothing is grouped.")
    args.length_strategy = PAD_MAX


def length_multiple(args: ExtTrainingArguments) -> int | None:
    """Give the multiple of tokens that the lengths of batches are rounded up to; None if they are not.

    It is 8 in half precision on an accelerator, as its matrix units like it, and for compiled models, so that kernels
    are not made anew for lengths of another alignment.
    """
    half = args.fp16 or args.bf16
    return 8 if args.torch_compile or (half and args.device.type != "cpu") else None


def _leave_packed_rows(args: ExtTrainingArguments) -> None:
    if args.length_strategy not in (GROUP, BUDGET, PACK):
        return
    if args.train_sampling_strategy != OFFICIAL_GROUPING:
        what = f"--length_strategy {args.length_strategy}: rows are packed to one length already"
        raise UserError(what, fix="leave it out, or add --packing none")
    logger.warning("Rows are packed to one length already: nothing is grouped.")
    args.length_strategy = None
