"""The flags that say which rows meet in a training batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DYNAMIC, PAD_MAX, GROUP, BUDGET, PACK = LENGTH_STRATEGIES = ("dynamic", "pad_max", "group", "budget", "pack")
OFFICIAL_GROUPING = "group_by_length"  # what transformers calls ``group``


@dataclass
class BatchingArguments:
    """How training batches are made of texts of different length."""

    length_strategy: str | None = field(
        default=None,
        metadata={
            "help": "Training batches: dynamic (random rows, padded to the longest; the default), pad_max (padded to "
            "the maximum), group (rows of similar length), budget (as many rows as --tokens_per_batch allows), "
            "pack (random rows, and no padding inside of the encoder).",
            "choices": list(LENGTH_STRATEGIES),
        },
    )
    tokens_per_batch: int | None = field(
        default=None,
        metadata={
            "help": "budget: most tokens of a micro-batch on one device, padding included; unset is as "
            "many as keep the number of steps that per_device_train_batch_size gives."
        },
    )

    def __post_init__(self) -> None:
        if self.length_strategy is not None and self.length_strategy not in LENGTH_STRATEGIES:
            known = ", ".join(LENGTH_STRATEGIES)
            raise ValueError(f"--length_strategy is one of {known}, got {self.length_strategy}.")
        if self.tokens_per_batch is not None and self.tokens_per_batch < 1:
            raise ValueError(f"--tokens_per_batch must be at least 1, got {self.tokens_per_batch}.")
        if self.tokens_per_batch is not None and self.length_strategy != BUDGET:
            raise ValueError("--tokens_per_batch is the size of budget batches: add --length_strategy budget.")


def settle_length_strategy(args: Any) -> None:
    """Bring ``length_strategy`` and the flags that transformers has for the same together.

    Args:
        args: ``ExtTrainingArguments``; their ``length_strategy`` becomes ``group`` if transformers' flag says so.

    Raises:
        ValueError: If they contradict one another.
    """
    sampling = args.train_sampling_strategy
    if args.length_strategy is None and sampling == OFFICIAL_GROUPING:
        args.length_strategy = GROUP
    chosen = args.length_strategy
    agrees = chosen == GROUP if sampling == OFFICIAL_GROUPING else chosen not in (GROUP, BUDGET)
    if sampling != "random" and not agrees:
        remedy = "leave out one of them" if sampling == OFFICIAL_GROUPING else "add --length_strategy dynamic"
        raise ValueError(f"--length_strategy {chosen} and --train_sampling_strategy {sampling} differ: {remedy}.")
    if chosen == PACK and args.torch_compile:
        raise ValueError("--length_strategy pack and --torch_compile do not go together: leave one of them out.")
    if chosen != BUDGET:
        return
    if args.weighted_sampling:
        raise ValueError(
            "--weighted_sampling draws other rows in each epoch, which then do not make the same number of batches: "
            "take --length_strategy group."
        )
    if args.auto_find_batch_size:
        raise ValueError("--auto_find_batch_size counts rows: leave it out, or take --length_strategy group.")
