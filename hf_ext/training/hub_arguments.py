"""The flags that say what goes to the Hub."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

logger = logging.getLogger(__name__)


@dataclass
class HubArguments:
    """Which files ``push_to_hub`` uploads, and when."""

    push_files: str | None = field(
        default=None,
        metadata={
            "help": "More files of the output folder that push_to_hub uploads beside model, tokenizer, card and "
            "results: names, comma-separated, * allowed, e.g. predictions.csv."
        },
    )
    hub_strategy: str = field(
        default="end",
        metadata={
            "help": "When push_to_hub uploads; only 'end', since earlier uploads hold a pickle with the token.",
            "choices": ["end", "every_save", "checkpoint", "all_checkpoints"],
        },
    )

    def __post_init__(self) -> None:
        for pattern in split_patterns(self.push_files):
            path = PurePosixPath(pattern)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"--push_files names files of the output folder, got {pattern!r}.")


def split_patterns(text: str | None) -> list[str]:
    """Read ``"a.csv, b*"`` as ``["a.csv", "b*"]``."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def settle_hub(args: Any) -> None:
    """Have a new repository private unless it is said otherwise, and refuse uploads during training.

    Args:
        args: ``ExtTrainingArguments``; their ``hub_private_repo`` becomes True if it is unset and something is pushed.

    Raises:
        ValueError: If ``hub_strategy`` asks for earlier uploads.
    """
    if not args.push_to_hub:
        return
    strategy = getattr(args.hub_strategy, "value", args.hub_strategy)
    if strategy != "end":
        raise ValueError(
            f"--hub_strategy {strategy} would upload a pickle with the Hub token in it; use --hub_strategy end."
        )
    if args.hub_private_repo is None:
        args.hub_private_repo = True
        logger.info("A new repository on the Hub will be private; --hub_private_repo False makes it public.")
