"""Whole files: read chunk by chunk, answered, written in the order of the rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from hf_ext.data.arguments import DataArguments
from hf_ext.data.columns import check_present, resolve_columns
from hf_ext.data.delimited import NAMED_DELIMITERS
from hf_ext.data.encodings import TextFile
from hf_ext.data.files import open_rows
from hf_ext.data.rows import LINE_COLUMN, RowReader
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.reading import read_sentences
from hf_ext.data.tagging.sentences import Sentence
from hf_ext.errors import UserError
from hf_ext.inference.answer_file import AnswerFile
from hf_ext.inference.preconditions import check_source
from hf_ext.inference.predictor import CHUNK, Predictor
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.sentence_tagger import SentenceTagger
from hf_ext.progress import with_bar

logger = logging.getLogger(__name__)

TEXT_NAMES = ("text", "sentence", "content", "query")  # what a table calls the text to be tagged


@dataclass(frozen=True)
class FileOptions:
    """How a file is read, and what of it is repeated beside the answers.

    Args:
        text_column_names: Text columns, comma-separated, where the file calls them otherwise than training did.
        text_pair_column_name: The second text of a pair, likewise.
        id_column_name: Column that names a row; None counts rows from 0.
        column_names: Names of the columns of a file without a header line, comma-separated.
        delimiter: What separates cells; None goes by the extension.
        quoting: Whether quotation marks enclose cells: ``auto``, ``minimal``, ``none``.
        file_format: How a tagger's file is read: one of ``hf_ext.data.tagging.arguments.FORMATS``.
        keep_columns: Input columns to repeat; None for all.
    """

    text_column_names: str | None = None
    text_pair_column_name: str | None = None
    id_column_name: str | None = None
    column_names: str | None = None
    delimiter: str | None = None
    quoting: str = "auto"
    file_format: str = "auto"
    keep_columns: tuple[str, ...] | None = None

    def for_tables(self, text_column_names: str | None) -> DataArguments:
        """Say the same to the readers of tables."""
        return DataArguments(
            text_column_names=text_column_names,
            text_pair_column_name=self.text_pair_column_name,
            id_column_name=self.id_column_name,
            column_names=self.column_names,
            delimiter=self.delimiter,
            quoting=self.quoting,
        )

    def for_sentences(self) -> TaggingDataArguments:
        """Say the same to the readers of sentences."""
        return TaggingDataArguments(
            text_column_name=self.text_column_names,
            id_column_name=self.id_column_name,
            delimiter=self.delimiter,
            file_format=self.file_format,
        )


class InputRow(NamedTuple):
    """One row of a file: its id, the columns to repeat, and what the model reads."""

    id: str
    kept: dict[str, Any]
    item: Any


def predict_file(
    predictor: Predictor, source: str | Path, target: str | Path, options: FileOptions | None = None
) -> int:
    """Answer the rows of a file.

    Rows of tables are read while they are answered, in memory that does not grow with the file; sentences in CoNLL,
    JSON and parquet files are read first.

    Args:
        predictor: The model.
        source: For a classifier csv, tsv, txt, json, jsonl, parquet; for a tagger also CoNLL columns. Gzipped or not.
        target: A ``.csv`` or ``.jsonl`` file.
        options: How the file is read.

    Returns:
        The number of rows.

    Raises:
        UserError: If the file or a row of it cannot be read, with its line.
    """
    source, options, count = check_source(source), options or FileOptions(), 0
    task = predictor.task
    if isinstance(task, RowClassifier):
        task, rows = _read_table(task, source, options)
    else:
        rows = _read_tagger_input(task, source, options)
    rows = with_bar(rows, f"answer {source.name}", unit="rows")
    with AnswerFile(target) as file:
        while chunk := list(islice(rows, CHUNK)):
            answers = task.answer([row.item for row in chunk])
            for row, answer in zip(chunk, answers, strict=True):
                file.write(row.id, row.kept, answer)
            count += len(chunk)
        if not count:
            raise UserError("no rows", where=str(source), fix="check that this is the right file")
    return count


def _read_table(task: RowClassifier, source: Path, options: FileOptions) -> tuple[RowClassifier, Iterator[InputRow]]:
    """Find out which columns a file has for what the model reads."""
    arguments = options.for_tables(options.text_column_names)
    reader = open_rows(source, arguments)
    if len(reader.columns) == len(task.columns) == 1:  # there is nothing to be mistaken
        arguments.text_column_names = arguments.text_column_names or reader.columns[0]
    resolved = resolve_columns(arguments, reader.columns, source=reader.source, saved=task.schema)
    for note in (*reader.notes, *resolved.notes):
        logger.info(note)
    task = task.with_columns(resolved.columns)
    return task, _rows(reader, task.read, resolved.columns.id, options.keep_columns)


def _read_tagger_input(task: SentenceTagger, source: Path, options: FileOptions) -> Iterator[InputRow]:
    column = _text_column(task, source, options)
    if column is not None:
        reader = open_rows(source, options.for_tables(column))
        check_present([column, *filter(None, [options.id_column_name])], reader.columns, reader.source)
        return _rows(
            reader, lambda row, where: task.read(row[column], where), options.id_column_name, options.keep_columns
        )
    file = read_sentences(source, options.for_sentences(), unlabelled=True, level=task.level, saved=task.schema)
    for note in file.notes:
        logger.info(note)
    return (InputRow(_id(sentence, i), {}, sentence) for i, sentence in enumerate(file.sentences))


def _text_column(task: SentenceTagger, source: Path, options: FileOptions) -> str | None:
    """Name the column of texts in a csv or tsv table; None for every other file."""
    suffix = (source.with_suffix("") if source.suffix == ".gz" else source).suffix.lower()
    if suffix not in (".csv", ".tsv") or options.file_format != "auto" or not source.is_file():
        return None
    delimiter = NAMED_DELIMITERS.get(options.delimiter or "", options.delimiter) or {".csv": ",", ".tsv": "\t"}[suffix]
    header = options.column_names.split(",") if options.column_names else TextFile(source).first_line().split(delimiter)
    present = [name.strip().strip('"') for name in header]
    candidates = (options.text_column_names, task.schema.tokens_column, *TEXT_NAMES)
    return next((name for name in candidates if name in present), None)


def _rows(
    reader: RowReader, read: Callable[[Any, str], Any], id_column: str | None, keep: tuple[str, ...] | None
) -> Iterator[InputRow]:
    own = [name for name in reader.columns if name != id_column]
    kept = own if keep is None else list(keep)
    check_present(kept, reader.columns, reader.source)
    for i, row in enumerate(reader):
        item = read(row, f"{reader.source}:{row[LINE_COLUMN]}")
        cells = {name: ",".join(row[name]) if isinstance(row[name], list) else row[name] for name in kept}
        yield InputRow(row[id_column] if id_column else str(i), cells, item)


def _id(sentence: Sentence, number: int) -> str:
    return str(number) if sentence.id is None else sentence.id
