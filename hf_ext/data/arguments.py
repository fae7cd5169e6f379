"""Which rows a run reads: flags of the official scripts first, then ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.data.named_files import refuse_empty_names


@dataclass
class SourceArguments:
    """What every script that reads labelled rows asks: where they are, how they are cut, how many of them."""

    dataset_name: str | None = field(default=None, metadata={"help": "Name of a data set on the Hub."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of that data set."})
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder with train, dev (or val, valid, validation) and test files."}
    )
    train_file: str | None = field(
        default=None, metadata={"help": "Training rows: .csv .tsv .json .jsonl .parquet or .txt."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation rows, same kinds of file."})
    test_file: str | None = field(default=None, metadata={"help": "Rows to predict; labels are optional."})
    train_split_name: str | None = field(default=None, metadata={"help": "Name of the Hub split to train on."})
    validation_split_name: str | None = field(default=None, metadata={"help": "Name of the Hub split to evaluate on."})
    test_split_name: str | None = field(default=None, metadata={"help": "Name of the Hub split to predict."})
    remove_splits: str | None = field(default=None, metadata={"help": "Hub splits to leave out, comma-separated."})
    remove_columns: str | None = field(default=None, metadata={"help": "Columns to leave out, comma-separated."})
    delimiter: str | None = field(
        default=None, metadata={"help": "Cell separator of csv, tsv and txt files; unset goes by the extension."}
    )
    label_column_name: str | None = field(default=None, metadata={"help": "Label column; guessed if unset."})
    id_column_name: str | None = field(
        default=None, metadata={"help": "Column that names a row in the predictions; unset counts rows from 0."}
    )
    label_file: str | None = field(
        default=None, metadata={"help": "One label name a line; a label cell i then means line i, counted from 0."}
    )
    unknown_labels: str = field(
        default="error",
        metadata={
            "help": "Validation or test labels that training has not seen: error, or ignore (rows left unscored).",
            "choices": ["error", "ignore"],
        },
    )
    validation_split: float | None = field(
        default=None, metadata={"help": "Fraction of the training rows held out for validation, stratified, seeded."}
    )
    test_split: float | None = field(
        default=None, metadata={"help": "Fraction of the training rows held out for test, stratified, seeded."}
    )
    split_indices: str | None = field(
        default=None, metadata={"help": "split_indices.json of an earlier run: the same rows on the same sides."}
    )
    num_folds: int | None = field(
        default=None,
        metadata={"help": "Cut the training rows into k folds, and train k models, each without one of them."},
    )
    split_seed: int = field(default=42, metadata={"help": "Seed of the split, or of the folds."})
    drop_duplicates: bool = field(
        default=False, metadata={"help": "Keep the first of training rows with the same text, before splitting."}
    )
    pad_to_max_length: bool = field(
        default=False,
        metadata={
            "help": "Pad every batch to max_seq_length. The official script does; here each batch is padded to its "
            "own longest text, which trains the same model several times faster on short texts."
        },
    )
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})
    overwrite_cache: bool = field(default=False, metadata={"help": "Tokenise again even if nothing has changed."})
    shuffle_train_dataset: bool = field(
        default=False, metadata={"help": "Shuffle the training rows once (before max_train_samples cuts)."}
    )
    shuffle_seed: int = field(default=42, metadata={"help": "Seed of that shuffle."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Keep only the first n training rows."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Keep only the first n validation rows."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Keep only the first n test rows."})
    task_name: str | None = field(default=None, metadata={"help": "Accepted from older scripts; names the run only."})

    def __post_init__(self) -> None:
        self.fold: int | None = None  # no flag: the fold that a run leaves out, counted from 1
        refuse_empty_names(self)
        for name in ("validation_split", "test_split"):
            fraction = getattr(self, name)
            if fraction is not None and not 0 < fraction < 1:
                raise ValueError(f"--{name} is a fraction between 0 and 1, got {fraction}.")
        if self.num_folds is not None and self.num_folds < 2:
            raise ValueError(f"--num_folds must be at least 2, got {self.num_folds}.")
        for name in ("validation_split", "test_split", "split_indices"):
            if self.num_folds and getattr(self, name):
                raise ValueError(f"--num_folds and --{name} both cut the training rows; leave one of them out.")
        counts = ("max_train_samples", "max_eval_samples", "max_predict_samples", "preprocessing_num_workers")
        for name in counts:
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"--{name} must be at least 1, got {count}.")

    @property
    def names_data(self) -> bool:
        """Whether any source of rows is given; otherwise the script takes the demo data."""
        return any((self.dataset_name, self.data_dir, self.train_file, self.validation_file, self.test_file))


@dataclass
class DataArguments(SourceArguments):
    """Where the rows of a classification come from, what their columns mean, and how they become features."""

    column_names: str | None = field(
        default=None, metadata={"help": "Names of the columns of files without a header line, comma-separated."}
    )
    quoting: str = field(
        default="auto",
        metadata={
            "help": "Whether quotation marks enclose cells: auto looks at the file.",
            "choices": ["auto", "minimal", "none"],
        },
    )
    text_column_names: str | None = field(
        default=None, metadata={"help": "Text columns, comma-separated, joined in this order; guessed if unset."}
    )
    text_column_delimiter: str = field(default=" ", metadata={"help": "Put between joined text columns."})
    text_pair_column_name: str | None = field(
        default=None, metadata={"help": "Column with the second text of a pair (its own segment)."}
    )
    keep_columns: str | None = field(
        default=None, metadata={"help": "Input columns copied into the predictions, comma-separated, or 'all'."}
    )
    categorical_columns: str | None = field(
        default=None, metadata={"help": "Table columns of categories beside the text, comma-separated."}
    )
    numeric_columns: str | None = field(
        default=None, metadata={"help": "Table columns of numbers beside the text, comma-separated."}
    )
    column_file: str | None = field(
        default=None,
        metadata={"help": "JSON with text_cols, cat_cols, num_cols, label_col, label_list instead of the flags above."},
    )
    columns_as_text: bool = field(
        default=False, metadata={"help": "Write the table columns into the text as 'name: cell' (simple baseline)."}
    )
    min_category_count: int = field(
        default=1, metadata={"help": "Categories with fewer training rows share the unknown bucket."}
    )
    task: str = field(
        default="auto",
        metadata={
            "help": "single_label, multi_label or regression; auto is multi_label where labels are lists, else "
            "single_label (a number is a label name unless you say regression).",
            "choices": ["auto", "single_label", "multi_label", "regression"],
        },
    )
    do_regression: bool = field(default=False, metadata={"help": "The official flag for --task regression."})
    label_delimiter: str | None = field(
        default=None, metadata={"help": "Multi-label: what separates the labels in one cell, e.g. a comma."}
    )
    metric_name: str | None = field(
        default=None, metadata={"help": "A metric of the evaluate library instead of our own (needs the Hub)."}
    )
    split_by: str | None = field(
        default=None, metadata={"help": "Rows with the same cell in this column stay on one side of a split."}
    )
    max_seq_length: int = field(
        default=128, metadata={"help": "Longest sequence in tokens; longer texts are cut, with a count."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read training rows while training, for files larger than memory."}
    )
    shuffle_buffer_size: int = field(default=10000, metadata={"help": "Streaming: rows shuffled among each other."})
    tfidf_baseline: bool = field(
        default=False,
        metadata={"help": "Also fit TF-IDF with logistic regression and print its score beside the model's (seconds)."},
    )

    def __post_init__(self) -> None:
        if self.do_regression:
            self.task = "regression"
        if self.label_delimiter and self.task in ("single_label", "regression"):
            raise ValueError(f"--label_delimiter and --task {self.task} contradict each other.")
        if self.max_seq_length < 1:
            raise ValueError(f"--max_seq_length must be at least 1, got {self.max_seq_length}.")
        if self.streaming and self.num_folds:
            raise ValueError("--streaming and --num_folds exclude each other: folds are cut of rows in memory.")
        super().__post_init__()


def split_names(text: str | None) -> list[str]:
    """Read ``"a, b"`` as ``["a", "b"]``."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
