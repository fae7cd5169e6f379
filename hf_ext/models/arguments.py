"""Which classifier a run asks for: the encoder's flags and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .encoder_arguments import ENCODER_COUNTS, ENCODER_DROPOUTS, EncoderArguments, check_sizes

POOLER_ALIASES = {"cnn": "textcnn", "lstm": "lstm", "gru": "gru"}
COUNTS: tuple[str, ...] = (
    *("filter_num", "lstm_hidden_size", "lstm_layers", "gru_hidden_size", "gru_layers", "ngram_buckets"),
    *("category_embedding_size", *ENCODER_COUNTS),
)
DROPOUTS: tuple[str, ...] = ("lstm_dropout", "gru_dropout", *ENCODER_DROPOUTS)


@dataclass
class ModelArguments(EncoderArguments):
    """Which encoder, what stands on top of it, and how it is loaded."""

    model_type: str | None = field(
        default=None,
        metadata={
            "help": "Short name for a whole model: bert_cnn, bert_lstm, xlnet_gru, ... (encoder and pooler), or from "
            "scratch wide_textcnn (textcnn plus n-grams, the default), textcnn, bilstm, bigru; a bare family name "
            "(bert, albert) means its stock head."
        },
    )

    pooler: str | None = field(
        default=None,
        metadata={
            "help": "How token vectors become one; unset keeps the encoder family's stock head.",
            "choices": ["cls", "mean", "max", "attention", "textcnn", "lstm", "gru"],
        },
    )
    filter_num: int = field(default=256, metadata={"help": "textcnn: filters of each size."})
    filter_sizes: str = field(default="3,4,5", metadata={"help": "textcnn: filter widths in tokens, comma-separated."})
    lstm_hidden_size: int = field(default=300, metadata={"help": "lstm pooler: units in each direction."})
    lstm_layers: int = field(default=2, metadata={"help": "lstm pooler: layers."})
    lstm_dropout: float = field(default=0.5, metadata={"help": "lstm pooler: dropout between layers."})
    gru_hidden_size: int = field(default=300, metadata={"help": "gru pooler: units in each direction."})
    gru_layers: int = field(default=2, metadata={"help": "gru pooler: layers."})
    gru_dropout: float = field(default=0.5, metadata={"help": "gru pooler: dropout between layers."})
    classifier_hidden_sizes: str = field(
        default="",
        metadata={"help": "Hidden layers between pooled vector and logits, e.g. 512,64; empty is one linear layer."},
    )
    ngram_sizes: str | None = field(
        default=None,
        metadata={
            "help": "Add a linear term over hashed token n-grams of these sizes to the logits, e.g. 1,2,3; unset: "
            "1,2,3 for the from-scratch default, none otherwise; '' for none."
        },
    )
    ngram_buckets: int = field(default=300000, metadata={"help": "Rows of the n-gram table."})

    fusion: str = field(
        default="concat",
        metadata={"help": "How table columns join the text vector.", "choices": ["concat", "gated", "attention"]},
    )
    category_embedding: str = field(
        default="one_hot",
        metadata={"help": "Categories as one_hot or learned vectors.", "choices": ["one_hot", "learned"]},
    )
    category_embedding_size: int = field(default=16, metadata={"help": "Width of a learned category vector."})

    rnn: str = field(
        default="none",
        metadata={"help": "From scratch: recurrent layers over the token vectors.", "choices": ["none", "lstm", "gru"]},
    )
    tokenizer_level: str = field(
        default="auto",
        metadata={
            "help": "From scratch: tokens are words, characters, or auto (characters where Han script prevails).",
            "choices": ["auto", "character", "word"],
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, counts=COUNTS, dropouts=DROPOUTS)
        split_integers(self.filter_sizes, "--filter_sizes")
        split_integers(self.classifier_hidden_sizes, "--classifier_hidden_sizes")
        if self.ngram_sizes is not None:
            split_integers(self.ngram_sizes, "--ngram_sizes")


def split_integers(text: str, flag: str) -> list[int]:
    """Read ``"3,4,5"`` as ``[3, 4, 5]``; an empty text gives an empty list.

    Raises:
        ValueError: If a part is not a positive integer.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"{flag} takes positive integers separated by commas, e.g. 3,4,5; got {text!r}.")
    return [int(part) for part in parts]
