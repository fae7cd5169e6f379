"""Which encoder a run asks for, whatever stands on it: flags of the official scripts first, then ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ENCODER_COUNTS = ("embedding_size", "rnn_hidden_size", "rnn_layers", "vocab_size", "min_token_count")
ENCODER_DROPOUTS = ("classifier_dropout", "embedding_dropout", "rnn_dropout")


@dataclass
class EncoderArguments:
    """Which encoder, how it is loaded, and how big it is when it is trained from scratch."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub name of a pretrained encoder or saved model; unset trains from scratch."},
    )
    config_name: str | None = field(default=None, metadata={"help": "Config folder or name, if not the model's own."})
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Tokenizer folder or name, if not the model's own."}
    )
    cache_dir: str | None = field(
        default=None, metadata={"help": "Where downloaded models and preprocessed data are kept."}
    )
    use_fast_tokenizer: bool = field(default=True, metadata={"help": "Use the fast tokenizer where there is one."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the model on the Hub."})
    token: str | None = field(
        default=None, metadata={"help": "Hub token; prefer `hf auth login` or HF_TOKEN, which `ps` does not show."}
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run model code that comes from the Hub repository itself."}
    )
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Load a checkpoint whose head has another size; the head starts fresh."}
    )
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "Dtype of the loaded weights; unset is float32 whatever the file holds.",
            "choices": ["auto", "float32", "bfloat16", "float16"],
        },
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "Attention kernel: eager, sdpa, flash_attention_2; unset lets transformers choose."},
    )
    model_type: str | None = field(default=None, metadata={"help": "Short name for a whole model."})
    freeze_encoder: str | None = field(
        default=None, metadata={"help": "'all', or a number n: the embeddings and the first n layers stay as loaded."}
    )
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
        if self.freeze_encoder is not None and self.freeze_encoder != "all" and not self.freeze_encoder.isdigit():
            raise ValueError(f"--freeze_encoder takes 'all' or a number of layers, got {self.freeze_encoder!r}.")
        check_sizes(self, counts=ENCODER_COUNTS, dropouts=ENCODER_DROPOUTS)
        self.config_name, self.tokenizer_name, self.cache_dir = (
            name or None for name in (self.config_name, self.tokenizer_name, self.cache_dir)
        )

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained model is named."""
        return self.model_name_or_path is None


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
