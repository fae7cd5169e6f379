"""Which tagged sentences a run reads: flags of the official ``run_ner.py`` first, then ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.data.arguments import SourceArguments
from hf_ext.models.tag_schemes import SCHEMES
from hf_ext.models.tagging_schema import LEVELS, LONGEST_WINDOW

FORMATS = ("auto", "conll", "json", "parquet", "text")


@dataclass
class TaggingDataArguments(SourceArguments):
    """Where tagged sentences come from, how their tags are meant, and how they become features."""

    task_name: str | None = field(
        default="ner", metadata={"help": "ner, pos or chunk: the column <task_name>_tags is looked for first."}
    )
    data_dir: str | None = field(
        default=None,
        metadata={"help": "Folder with train, dev (or val, valid, validation) and test files, or folders of seq.in."},
    )
    train_file: str | None = field(
        default=None,
        metadata={
            "help": "Sentences to train on: columns (CoNLL, any extension), .json, .jsonl or .parquet; or a folder "
            "with seq.in, seq.out and label."
        },
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation sentences, same kinds of file."})
    test_file: str | None = field(
        default=None, metadata={"help": "Sentences to predict; tags are optional, and plain text will do."}
    )
    file_format: str = field(
        default="auto",
        metadata={"help": "How local files are read; auto goes by extension and content.", "choices": list(FORMATS)},
    )
    delimiter: str | None = field(
        default=None,
        metadata={"help": "What separates the columns of CoNLL files (tab, space, a comma ...); found if unset."},
    )
    text_column_name: str | None = field(
        default=None,
        metadata={"help": "Column of the words or of the text: a name, or in CoNLL files a number from 0 (first)."},
    )
    label_column_name: str | None = field(
        default=None,
        metadata={"help": "Column of the tags or spans: a name, or in CoNLL files a number from 0, -1 being the last."},
    )
    sentence_label_column_name: str | None = field(
        default=None,
        metadata={"help": "Column with one label for the whole sentence (intent); 'none' ignores a label file."},
    )
    label_file: str | None = field(
        default=None, metadata={"help": "One tag a line; a tag i in the data then means line i, counted from 0."}
    )

    scheme: str | None = field(
        default=None, metadata={"help": "How the tags mark entities; found if unset.", "choices": list(SCHEMES)}
    )
    convert_scheme: str | None = field(
        default=None, metadata={"help": "Scheme to train in; unset keeps that of the data.", "choices": list(SCHEMES)}
    )
    level: str = field(
        default="auto",
        metadata={
            "help": "What a word is where the input is text: word (runs of letters or digits, single marks) or "
            "character; auto is character for Chinese. CoNLL rows and token lists keep their words.",
            "choices": ["auto", *LEVELS],
        },
    )
    unknown_labels: str = field(
        default="error",
        metadata={
            "help": "Validation or test tags that training has not seen: error, or ignore (sentences left unscored).",
            "choices": ["error", "ignore"],
        },
    )
    validation_split: float | None = field(
        default=None, metadata={"help": "Fraction of the training sentences held out for validation, seeded."}
    )
    test_split: float | None = field(
        default=None, metadata={"help": "Fraction of the training sentences held out for test, seeded."}
    )

    max_seq_length: int | None = field(
        default=None,
        metadata={
            "help": "Longest window in tokens; longer sentences become overlapping windows, nothing is cut off. "
            f"Unset: what the model takes, at most {LONGEST_WINDOW}."
        },
    )
    window_overlap: int | None = field(
        default=None, metadata={"help": "Tokens that neighbouring windows share at most; unset: a quarter of a window."}
    )
    pad_to_max_length: bool = field(
        default=False, metadata={"help": "Pad every batch to max_seq_length instead of to its own longest window."}
    )
    label_all_tokens: bool = field(
        default=False,
        metadata={
            "help": "Train on the further tokens of a word too (a B becomes I there); scores stay by word. "
            "Stock head only."
        },
    )
    return_entity_level_metrics: bool = field(
        default=False, metadata={"help": "Also give precision, recall and F1 of each entity type."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_seq_length is not None and self.max_seq_length < 1:
            raise ValueError(f"--max_seq_length must be at least 1, got {self.max_seq_length}.")
        if self.window_overlap is not None and self.window_overlap < 0:
            raise ValueError(f"--window_overlap must not be negative, got {self.window_overlap}.")
        if self.window_overlap and self.max_seq_length and self.window_overlap >= self.max_seq_length:
            raise ValueError(
                f"--window_overlap {self.window_overlap} must be less than --max_seq_length {self.max_seq_length}."
            )
