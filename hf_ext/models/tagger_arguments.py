"""Which tagger a run asks for: the encoder's flags, what reads its words, and how tags are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from .encoder_arguments import EncoderArguments, check_sizes

TAGGER_COUNTS = ("head_rnn_hidden_size", "head_rnn_layers", "character_embedding_size", "character_hidden_size")
TAGGER_DROPOUTS = ("head_rnn_dropout",)


@dataclass
class TaggerArguments(EncoderArguments):
    """Which encoder, what stands between it and the tags, and how it is loaded."""

    model_type: str | None = field(
        default=None,
        metadata={
            "help": "Short name for a whole model: bert_crf, bert_lstm_crf, roberta_gru_softmax, ... (encoder, layers "
            "over the words, decoder), or from scratch bilstm_crf (the default), bigru_crf, bilstm_softmax, "
            "bigru_softmax; a bare family name (bert, albert) leaves the rest to the other flags."
        },
    )
    decoder: str | None = field(
        default=None,
        metadata={
            "help": "How tags are read off the scores; unset is crf from scratch, softmax on a pretrained encoder, and "
            "what a saved tagger has.",
            "choices": ["softmax", "crf"],
        },
    )
    crf_constraints: str | None = field(
        default=None,
        metadata={
            "help": "Where a CRF leaves out what the tag scheme forbids: decode, train (and decoding), none; unset is "
            "decode, or what a saved tagger has.",
            "choices": ["decode", "train", "none"],
        },
    )
    head_rnn: str | None = field(
        default=None,
        metadata={
            "help": "Bidirectional layers over the words, above the encoder; unset is none, or what a saved "
            "tagger has.",
            "choices": ["none", "lstm", "gru"],
        },
    )
    head_rnn_hidden_size: int = field(default=256, metadata={"help": "head_rnn: units in each direction."})
    head_rnn_layers: int = field(default=1, metadata={"help": "head_rnn: layers."})
    head_rnn_dropout: float = field(default=0.0, metadata={"help": "head_rnn: dropout between layers."})
    classifier_dropout: float = field(default=0.1, metadata={"help": "Dropout on the words' vectors before the tags."})
    character_encoder: str | None = field(
        default=None,
        metadata={
            "help": "Add a vector read from the characters of each word; unset is none, or what a saved tagger has.",
            "choices": ["none", "cnn", "lstm"],
        },
    )
    character_embedding_size: int = field(default=30, metadata={"help": "Width of a character vector."})
    character_hidden_size: int = field(
        default=30, metadata={"help": "character_encoder: filters of cnn, units in each direction of lstm."}
    )
    pooler: str | None = field(
        default=None,
        metadata={
            "help": "With sentence labels: cls reads the encoder's first token, the others the vectors of the words; "
            "unset is cls, and max from scratch.",
            "choices": ["cls", "mean", "max", "attention"],
        },
    )
    embedding_size: int = field(default=100, metadata={"help": "From scratch: width of a token vector."})
    rnn: str | None = field(
        default=None,
        metadata={
            "help": "From scratch: recurrent layers over the token vectors; above the characters' vectors where "
            "there are any; unset is what model_type says.",
            "choices": ["none", "lstm", "gru"],
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, counts=TAGGER_COUNTS, dropouts=TAGGER_DROPOUTS)
