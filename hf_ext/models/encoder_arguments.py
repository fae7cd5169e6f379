"""Which encoder a run asks for, whatever stands on it: a checkpoint, or the sizes of one from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .checkpoint_arguments import CheckpointArguments

ENCODER_COUNTS = ("embedding_size", "rnn_hidden_size", "rnn_layers", "vocab_size", "min_token_count")
ENCODER_DROPOUTS = ("classifier_dropout", "embedding_dropout", "rnn_dropout")


@dataclass
class EncoderArguments(CheckpointArguments):
    """Which encoder, how it is loaded, and how big it is when it is trained from scratch."""

    classifier_dropout: float = field(default=0.1, metadata={"help": "Dropout before every layer of the classifier."})

    embedding_size: int = field(default=64, metadata={"help": "From scratch: width of a token vector."})
    embedding_file: str | None = field(
        default=None,
        metadata={
            "help": "From scratch: initial token vectors, word2vec text format, .gz allowed; sets embedding_size."
        },
    )
    embedding_dropout: float = field(default=0.5, metadata={"help": "From scratch: dropout on the token vectors."})
    rnn_hidden_size: int = field(default=256, metadata={"help": "From scratch: units in each direction."})
    rnn_layers: int = field(default=1, metadata={"help": "From scratch: recurrent layers."})
    rnn_dropout: float = field(default=0.0, metadata={"help": "From scratch: dropout between recurrent layers."})
    vocab_size: int = field(default=30000, metadata={"help": "From scratch: largest vocabulary built from the text."})
    min_token_count: int = field(default=2, metadata={"help": "From scratch: rarer tokens are unknown."})
    do_lower_case: bool = field(
        default=False, metadata={"help": "Lower-case the text (tokenizers built here; others know)."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, counts=ENCODER_COUNTS, dropouts=ENCODER_DROPOUTS)


def check_sizes(arguments: Any, *, counts: Iterable[str], dropouts: Iterable[str]) -> None:
    """Refuse sizes and shares that no layer could be built with.

    Args:
        arguments: The flags.
        counts: Names of those that are at least 1.
        dropouts: Names of those that are shares.

    Raises:
        ValueError: Naming the flag and what came.
    """
    for name in counts:
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(arguments, name)}.")
    for name in dropouts:
        if not 0 <= getattr(arguments, name) < 1:
            raise ValueError(f"--{name} is a share from 0 to below 1, got {getattr(arguments, name)}.")
