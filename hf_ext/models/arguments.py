"""Which model a run asks for: flags of the official scripts first, then ours."""

from __future__ import annotations

from dataclasses import dataclass, field

POOLER_ALIASES = {"cnn": "textcnn", "lstm": "lstm", "gru": "gru"}
COUNTS: tuple[str, ...] = (
    *("filter_num", "lstm_hidden_size", "lstm_layers", "gru_hidden_size", "gru_layers", "ngram_buckets"),
    *("category_embedding_size", "embedding_size", "rnn_hidden_size", "rnn_layers", "vocab_size", "min_token_count"),
)
DROPOUTS = ("lstm_dropout", "gru_dropout", "classifier_dropout", "embedding_dropout", "rnn_dropout")


@dataclass
class ModelArguments:
    """Which encoder, what stands on top of it, and how it is loaded."""

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
    model_type: str | None = field(
        default=None,
        metadata={
            "help": "Short name for a whole model: bert_cnn, bert_lstm, xlnet_gru, ... (encoder and pooler), or from "
            "scratch wide_textcnn (textcnn plus n-grams, the default), textcnn, bilstm, bigru; a bare family name "
            "(bert, albert) means its stock head."
        },
    )
    freeze_encoder: str | None = field(
        default=None, metadata={"help": "'all', or a number n: the embeddings and the first n layers stay as loaded."}
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
    classifier_dropout: float = field(default=0.1, metadata={"help": "Dropout before every layer of the classifier."})
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

    embedding_size: int = field(default=64, metadata={"help": "From scratch: width of a token vector."})
    embedding_file: str | None = field(
        default=None,
        metadata={
            "help": "From scratch: initial token vectors, word2vec text format, .gz allowed; sets embedding_size."
        },
    )
    embedding_dropout: float = field(default=0.5, metadata={"help": "From scratch: dropout on the token vectors."})
    rnn: str = field(
        default="none",
        metadata={"help": "From scratch: recurrent layers over the token vectors.", "choices": ["none", "lstm", "gru"]},
    )
    rnn_hidden_size: int = field(default=256, metadata={"help": "From scratch: units in each direction."})
    rnn_layers: int = field(default=1, metadata={"help": "From scratch: recurrent layers."})
    rnn_dropout: float = field(default=0.0, metadata={"help": "From scratch: dropout between recurrent layers."})
    tokenizer_level: str = field(
        default="auto",
        metadata={
            "help": "From scratch: tokens are words, characters, or auto (characters where Han script prevails).",
            "choices": ["auto", "character", "word"],
        },
    )
    vocab_size: int = field(default=30000, metadata={"help": "From scratch: largest vocabulary built from the text."})
    min_token_count: int = field(default=2, metadata={"help": "From scratch: rarer tokens are unknown."})
    do_lower_case: bool = field(
        default=False, metadata={"help": "Lower-case the text (tokenizers built here; others know)."}
    )

    def __post_init__(self) -> None:
        if self.freeze_encoder is not None and self.freeze_encoder != "all" and not self.freeze_encoder.isdigit():
            raise ValueError(f"--freeze_encoder takes 'all' or a number of layers, got {self.freeze_encoder!r}.")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}.")
        for name in DROPOUTS:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"--{name} is a share from 0 to below 1, got {getattr(self, name)}.")
        split_integers(self.filter_sizes, "--filter_sizes")
        split_integers(self.classifier_hidden_sizes, "--classifier_hidden_sizes")
        if self.ngram_sizes is not None:
            split_integers(self.ngram_sizes, "--ngram_sizes")
        self.config_name, self.tokenizer_name, self.cache_dir = (
            name or None for name in (self.config_name, self.tokenizer_name, self.cache_dir)
        )

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained model is named."""
        return self.model_name_or_path is None


def split_integers(text: str, flag: str) -> list[int]:
    """Read ``"3,4,5"`` as ``[3, 4, 5]``; an empty text gives an empty list.

    Raises:
        ValueError: If a part is not a positive integer.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"{flag} takes positive integers separated by commas, e.g. 3,4,5; got {text!r}.")
    return [int(part) for part in parts]
