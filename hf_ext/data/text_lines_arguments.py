"""Which corpus a tokenizer learns from, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.data.plain_text_arguments import PlainTextArguments


@dataclass
class TextLinesArguments(PlainTextArguments):
    """Which lines are held out, and how many are read."""

    train_split_name: str = field(default="train", metadata={"help": "Split of the Hub data set; it is streamed."})
    validation_split_percentage: float = field(
        default=1.0,
        metadata={"help": "Percentage of the lines held out to measure on when no validation text is named."},
    )
    max_eval_lines: int = field(default=2000, metadata={"help": "Held-out lines to measure on, at most."})
    text_column_name: str | None = field(
        default=None,
        metadata={"help": "Columns of the text in rows, comma-separated; unset: text, or another usual name."},
    )
    max_lines: int | None = field(
        default=None, metadata={"help": "Learn from this many lines, drawn at random from all; unset takes all."}
    )
    seed: int = field(default=42, metadata={"help": "Seed of every draw."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.validation_split_percentage < 100:
            raise ValueError(
                f"--validation_split_percentage is between 0 and 100, got {self.validation_split_percentage}."
            )
        for name in ("max_lines", "max_eval_lines"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"--{name} must be at least 1, got {count}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed must be from 0 to 2**32 - 1, got {self.seed}.")
        if not self.dataset_name and not self.train_file:
            raise ValueError("there is no text to learn from; pass --train_file or --dataset_name.")
        if self.dataset_name and self.train_file:
            raise ValueError("--dataset_name and --train_file both name the text; leave one of them out.")
