"""Which model a pretraining run asks for: flags of the official ``run_mlm.py`` first, then ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from .checkpoint_arguments import CheckpointArguments

LARGEST_MULTIPLE = 4096  # no device asks for more


@dataclass
class PretrainingModelArguments(CheckpointArguments):
    """Which checkpoint is pretrained further, or which model from scratch, and the tokens that join it."""

    model_type: str | None = field(
        default=None,
        metadata={"help": "From scratch: family of the model, e.g. bert, roberta, albert, modernbert."},
    )
    config_overrides: str | None = field(
        default=None,
        metadata={
            "help": "From scratch: changes to the family's default configuration, e.g. "
            "hidden_size=256,num_hidden_layers=4."
        },
    )
    add_tokens: str | None = field(
        default=None,
        metadata={"help": "File of tokens that join the vocabulary, one a line; a description may follow a tab."},
    )
    add_tokens_init: str = field(
        default="pieces",
        metadata={
            "help": "What a new token's row starts as: the mean row of its old pieces, of its description, or random.",
            "choices": ["pieces", "description", "random"],
        },
    )
    train_new_rows_steps: int = field(
        default=0, metadata={"help": "First optimizer steps in which only the rows of new tokens are trained."}
    )
    pad_vocab_to_multiple_of: int | None = field(
        default=None, metadata={"help": "Round the rows of the vocabulary up, e.g. to 8: faster on tensor cores."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.config_overrides, self.add_tokens = self.config_overrides or None, self.add_tokens or None
        if self.config_overrides and not self.from_scratch:
            raise ValueError(
                "--config_overrides is for a model from scratch; with --model_name_or_path the sizes are the model's."
            )
        if self.train_new_rows_steps < 0:
            raise ValueError(f"--train_new_rows_steps is a number of steps, got {self.train_new_rows_steps}.")
        if self.train_new_rows_steps and not self.add_tokens:
            raise ValueError("--train_new_rows_steps trains the rows of new tokens, so it needs --add_tokens.")
        if self.pad_vocab_to_multiple_of is not None and not 1 <= self.pad_vocab_to_multiple_of <= LARGEST_MULTIPLE:
            raise ValueError(
                f"--pad_vocab_to_multiple_of must be from 1 to {LARGEST_MULTIPLE}, got {self.pad_vocab_to_multiple_of}."
            )
