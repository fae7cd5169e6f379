"""From ``length_strategy`` to a sampler."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler
from transformers import Trainer
from transformers.trainer_utils import has_length

from hf_ext.errors import UserError
from hf_ext.training.batching.arguments import BUDGET, DYNAMIC, GROUP, PACK
from hf_ext.training.batching.grouping import LengthGroupedRows
from hf_ext.training.batching.lengths import measure_rows, read_lengths
from hf_ext.training.batching.padding_free import pack_or_group
from hf_ext.training.batching.row_order import EpochOrder, ShuffledRows, tell_epochs
from hf_ext.training.batching.token_budget import TokenBudgetBatches, choose_budget

logger = logging.getLogger(__name__)


def choose_length_strategy(trainer: Trainer) -> str:
    """Find out how a trainer is to make its batches.

    Returns:
        A name of ``LENGTH_STRATEGIES``; ``dynamic`` where none is asked for.

    Raises:
        UserError: If it needs lengths and the rows are streamed.
    """
    strategy = getattr(trainer.args, "length_strategy", None) or DYNAMIC
    if strategy == PACK:
        strategy = pack_or_group(trainer)
    if strategy not in (GROUP, BUDGET):
        return strategy
    rows = trainer.train_dataset
    if rows is not None and not has_length(rows):
        raise UserError(
            f"--length_strategy {strategy} needs the length of every row before training, and they are streamed",
            fix="take --length_strategy dynamic",
        )
    tell_epochs(trainer)
    return strategy


def build_length_sampler(trainer: Trainer, strategy: str, dataset: Any, order: EpochOrder | None = None) -> Sampler:
    """Build the sampler of ``group`` or ``budget``.

    Args:
        trainer: Whose batch size, seed and processes count.
        strategy: ``group`` or ``budget``.
        dataset: The training rows.
        order: The rows in random order; by default each once, shuffled anew in every epoch. Only for ``group``.

    Raises:
        UserError: If the rows have no ``input_ids``.
    """
    args = trainer.args
    column = args.length_column_name
    lengths = read_lengths(dataset, column=column)
    if lengths is None:
        lengths = measure_rows(dataset)
    if lengths is None:
        raise UserError(f"--length_strategy {strategy} needs rows with input_ids", fix="leave it out")
    seed = args.data_seed if args.data_seed is not None else args.seed
    rows_per_device = trainer._train_batch_size
    if strategy == GROUP:
        order = order if order is not None else ShuffledRows(len(lengths), seed=seed)
        return LengthGroupedRows(order, lengths, batch_size=rows_per_device * args.world_size)
    tokens = _settle_budget(getattr(args, "tokens_per_batch", None), lengths, rows_per_device)
    sampler = TokenBudgetBatches(lengths, tokens=tokens, seed=seed, processes=args.world_size, rank=args.process_index)
    batches = len(sampler) * args.world_size
    logger.info(
        "Batches of up to %d tokens: %d of %.1f rows on average, at least %.0f %% of the tokens real.",
        tokens,
        batches,
        len(lengths) / batches,
        100 * sampler.real_share,
    )
    return sampler


def _settle_budget(given: int | None, lengths: NDArray[np.int64], rows: int) -> int:
    tokens = given if given is not None else choose_budget(lengths, rows)
    longer = int((lengths > tokens).sum())
    if longer:
        logger.warning(
            "%d rows are longer than the %d tokens of a batch, up to %d; each makes a batch of its own.",
            longer,
            tokens,
            lengths.max(),
        )
    return tokens
