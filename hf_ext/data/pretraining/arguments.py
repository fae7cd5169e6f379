"""Which text a pretraining run reads: flags of the official ``run_mlm.py`` first, then ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.data.arguments import split_names
from hf_ext.data.plain_text_arguments import PlainTextArguments
from hf_ext.data.pretraining.segmenters import SEGMENTERS
from hf_ext.errors import did_you_mean

BOUNDARIES = ("auto", "line", "empty_line", "section")
MASKINGS = ("token", "whole_word", "span")
PACKINGS = ("best_fit", "concat", "none")
SENTENCE_PAIRS = ("none", "next_sentence", "sentence_order")
LONGEST_SPAN = 10_000  # words


@dataclass
class PretrainingDataArguments(PlainTextArguments):
    """How text is cut into documents, and how documents become rows of masked tokens."""

    validation_split_percentage: float = field(
        default=5.0,
        metadata={
            "help": "Percentage of the training documents held out for validation when no validation text is named: "
            "whole documents, drawn with split_seed, not the head of the file. 0 holds none out."
        },
    )
    split_seed: int = field(default=42, metadata={"help": "Seed of that draw, and of the order of the rows."})
    text_column_name: str | None = field(
        default=None, metadata={"help": "Column of the text in files of rows; unset: text, or another usual name."}
    )
    data_weights: str | None = field(
        default=None,
        metadata={
            "help": "A weight for each source of --train_file, comma-separated: training rows come in these "
            "proportions, every row of every source at least once an epoch, those of the others again and again."
        },
    )
    document_boundary: str = field(
        default="auto",
        metadata={
            "help": "What a document is in a .txt file: a line, what stands between two empty lines (empty_line), or "
            "a section, some 4,000 characters of neighbouring lines whatever is empty between them. auto is "
            "empty_line where several lines stand together, else section. In files of rows a row is a document.",
            "choices": list(BOUNDARIES),
        },
    )
    line_by_line: bool = field(
        default=False, metadata={"help": "The official flag for --document_boundary line with --packing none."}
    )
    drop_duplicates: bool = field(
        default=False, metadata={"help": "Keep the first of training documents with the same text, before splitting."}
    )
    max_seq_length: int | None = field(
        default=None,
        metadata={"help": "Longest row in tokens, special tokens included. Unset: what the model takes, at most 1024."},
    )
    packing: str = field(
        default="best_fit",
        metadata={
            "help": "How documents fill rows: best_fit cuts only those longer than a row, concat fills row after row "
            "in the order of the text, none gives each document its own rows. No token is ever left out.",
            "choices": list(PACKINGS),
        },
    )
    pad_to_max_length: bool = field(
        default=False, metadata={"help": "Pad every batch to max_seq_length instead of to its own longest row."}
    )
    sentence_pairs: str = field(
        default="none",
        metadata={
            "help": "Rows of two segments with a label: next_sentence (half of the second ones are from another "
            "document) or sentence_order (half are swapped). Needs a model with such a head.",
            "choices": list(SENTENCE_PAIRS),
        },
    )
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of the tokens of a row that is masked."})
    masking: str = field(
        default="token",
        metadata={"help": "What is masked together: a token, a whole word, or a span.", "choices": list(MASKINGS)},
    )
    max_span_length: int = field(default=10, metadata={"help": "Longest span in words, with --masking span."})
    span_probability: float = field(
        default=0.2,
        metadata={
            "help": "Probability that a span ends after a word, with --masking span: spans get longer below 0.2."
        },
    )
    segmenter: str = field(
        default="auto",
        metadata={
            "help": "What finds the words of Chinese documents, for whole words and spans: rjieba (pip install "
            "hf_ext[zh]) or jieba; none takes the tokenizer's words; auto is rjieba if Chinese is found."
        },
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read and tokenise training text while training; needs --max_steps."}
    )
    shuffle_buffer_size: int = field(default=10000, metadata={"help": "Streaming: rows shuffled among each other."})
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})
    overwrite_cache: bool = field(default=False, metadata={"help": "Read and tokenise again even if nothing changed."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Keep only the first n training rows."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Keep only the first n validation rows."})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mlm_probability", "span_probability"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"--{name} is above 0 and below 1, got {getattr(self, name)}.")
        if not 0 <= self.validation_split_percentage < 100:
            raise ValueError(
                f"--validation_split_percentage is between 0 and 100, got {self.validation_split_percentage}."
            )
        self._check_counts()
        for name, known in (
            ("document_boundary", BOUNDARIES),
            ("packing", PACKINGS),
            ("sentence_pairs", SENTENCE_PAIRS),
            ("masking", MASKINGS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"--{name} {getattr(self, name)!r} is not one of {', '.join(known)}.")
        self._check_segmenter()
        if self.line_by_line:
            self._settle_lines()
        if self.streaming and self.has_sentence_pairs:
            raise ValueError("--sentence_pairs draws from all documents; leave out --streaming.")
        if self.streaming and self.drop_duplicates:
            raise ValueError("--drop_duplicates compares all documents; leave out --streaming.")
        self._check_weights()

    @property
    def names_data(self) -> bool:
        """Whether any source of text is given; otherwise the script takes the demo data."""
        return any((self.dataset_name, self.train_file, self.validation_file))

    @property
    def has_sentence_pairs(self) -> bool:
        """Whether rows are pairs of segments with a label."""
        return self.sentence_pairs != "none"

    @property
    def weights(self) -> list[float]:
        """The weights of the sources, none for rows as they come."""
        return [float(weight) for weight in split_names(self.data_weights)]

    def _check_counts(self) -> None:
        counts = ("max_seq_length", "max_span_length", "shuffle_buffer_size", "preprocessing_num_workers")
        for name in (*counts, "max_train_samples", "max_eval_samples"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"--{name} must be at least 1, got {count}.")
        if self.max_span_length > LONGEST_SPAN:
            raise ValueError(f"--max_span_length is at most {LONGEST_SPAN} words, got {self.max_span_length}.")
        if not 0 <= self.split_seed < 2**32:
            raise ValueError(f"--split_seed must be from 0 to 2**32 - 1, got {self.split_seed}.")

    def _check_segmenter(self) -> None:
        known = ("auto", *SEGMENTERS, "none")
        if self.segmenter not in known:
            fix = did_you_mean(self.segmenter, known)
            raise ValueError(f"--segmenter {self.segmenter!r}: there is no such segmenter – {fix}")

    def _settle_lines(self) -> None:
        for name, value, unset in (("document_boundary", "line", "auto"), ("packing", "none", "best_fit")):
            if getattr(self, name) not in (value, unset):
                raise ValueError(f"--line_by_line means --{name} {value}; leave one of the two out.")
            setattr(self, name, value)

    def _check_weights(self) -> None:
        try:
            weights = self.weights
        except ValueError:
            raise ValueError(f"--data_weights are numbers, comma-separated, got {self.data_weights!r}.") from None
        if any(not 0 < weight < float("inf") for weight in weights):
            raise ValueError(f"--data_weights must be positive, got {self.data_weights}.")
        if weights and not self.train_file:
            raise ValueError("--data_weights weigh the sources of --train_file, which is not given.")
