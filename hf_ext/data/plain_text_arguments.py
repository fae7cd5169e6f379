"""Which files of plain text are read, and how: what pretraining and tokenizers ask alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.data.named_files import refuse_empty_names


@dataclass
class PlainTextArguments:
    """Where the text comes from."""

    dataset_name: str | None = field(default=None, metadata={"help": "Name of a data set on the Hub."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of that data set."})
    train_file: str | None = field(
        default=None,
        metadata={
            "help": "Text to learn from: .txt .json .jsonl .csv .tsv .parquet, gzipped or not (not parquet). A file, a "
            "folder (all files of these kinds in it), a pattern such as 'news/*.txt', or several, comma-separated."
        },
    )
    validation_file: str | None = field(
        default=None, metadata={"help": "Text to measure on, named in the same ways; unset holds some of it out."}
    )
    delimiter: str | None = field(
        default=None, metadata={"help": "Cell separator of csv and tsv files; unset goes by the extension."}
    )
    quoting: str = field(
        default="auto",
        metadata={
            "help": "Whether quotation marks enclose the cells of csv and tsv files: auto looks at the file.",
            "choices": ["auto", "minimal", "none"],
        },
    )

    def __post_init__(self) -> None:
        refuse_empty_names(self)
