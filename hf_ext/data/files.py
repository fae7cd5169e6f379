"""Any file of rows, by its extension: csv, tsv, txt, json, jsonl, parquet, each gzipped or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.delimited import open_delimited
from hf_ext.data.encodings import TextFile
from hf_ext.data.jsonrows import open_json
from hf_ext.data.rows import Row, RowReader, Table, to_cell
from hf_ext.data.split_paths import SPLIT_STEMS, find_split_paths
from hf_ext.errors import UserError

EXTENSIONS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet")
PARQUET_BATCH = 1000  # rows
DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)  # the last for names of columns that are no UTF-8


def read_rows(path: str | Path, arguments: DataArguments, *, label_column: str | None = None) -> Table:
    """Read a file into memory; every cell is text, exactly as written ("NA" and "001" stay).

    Args:
        path: The file; ``.gz`` may follow the extension (not for parquet).
        arguments: Column names, delimiter and quoting as asked for.
        label_column: This column of ``--column_names`` may be absent (test files without labels).

    Raises:
        UserError: If the file cannot be read as a table, naming file and line.
    """
    return open_rows(path, arguments, label_column=label_column).read()


def stream_rows(path: str | Path, arguments: DataArguments) -> Iterator[Row]:
    """Give the rows of a file one by one in constant memory, with the same cells as ``read_rows``.

    Raises:
        UserError: As ``read_rows``; also for a JSON array, which cannot be read in parts.
    """
    return iter(open_rows(path, arguments, streaming=True))


def open_rows(
    path: str | Path, arguments: DataArguments, *, label_column: str | None = None, streaming: bool = False
) -> RowReader:
    """Look at a file and give a reader of its rows.

    Raises:
        UserError: If the file is missing, of an unknown kind, or looks broken.
    """
    path = Path(path)
    extension = find_extension(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(what, where=str(path), fix="check the path (a folder goes to --data_dir)")
    removed = frozenset(split_names(arguments.remove_columns))
    if extension == ".parquet":
        return _parquet_rows(path, removed)
    if extension in (".json", ".jsonl") or (extension == ".txt" and holds_json(path)):
        return open_json(path, extension, removed=removed, streaming=streaming)
    reader = open_delimited(path, extension, arguments, label_column=label_column)
    return replace(reader, columns=tuple(name for name in reader.columns if name not in removed))


def find_extension(path: Path) -> str:
    """Give the extension that says how a file is read, ``.gz`` aside.

    Raises:
        UserError: If it is not one of ``EXTENSIONS``.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() not in EXTENSIONS:
        shown = suffix or "no extension"
        raise UserError(f"unknown kind of file ({shown})", where=str(path), fix=f"use one of {' '.join(EXTENSIONS)}")
    return suffix.lower()


def find_split_files(folder: str | Path) -> dict[str, Path]:
    """Find the train, validation and test files of a folder by their names, e.g. ``dev.csv``.

    Raises:
        UserError: As ``find_split_paths``.
    """
    return find_split_paths(folder, _split_of, items="rows")


def _split_of(path: Path) -> str | None:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if plain.suffix.lower() not in EXTENSIONS or not path.is_file():
        return None
    return next((split for split, stems in SPLIT_STEMS.items() if plain.stem.lower() in stems), None)


def holds_json(path: Path) -> bool:
    """Whether the first line of a text file is a JSON object."""
    first = TextFile(path).first_line().strip()
    if not first.startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file without reading its rows.

    Raises:
        UserError: If it is none.
    """
    try:
        return pq.ParquetFile(path)
    except DAMAGED as error:
        raise no_parquet(path, error) from None


def parquet_batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Give the rows of a parquet file, ``PARQUET_BATCH`` at a time.

    Raises:
        UserError: If it is none, or is damaged.
    """
    try:
        yield from open_parquet(path).iter_batches(batch_size=PARQUET_BATCH, columns=columns)
    except DAMAGED as error:
        raise no_parquet(path, error) from None


def no_parquet(path: Path, error: Exception) -> UserError:
    """Make one line of what pyarrow has to say of a file."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return UserError(f"not a parquet file ({reason})", where=str(path), fix="check the file")


def _parquet_rows(path: Path, removed: frozenset[str]) -> RowReader:
    source = str(path)
    kept = [field for field in open_parquet(path).schema_arrow if field.name not in removed]
    names = [field.name for field in kept]

    def records() -> Iterator[tuple[int, Row]]:
        line = 0
        for batch in parquet_batches(path, names):
            for record in batch.to_pylist():
                line += 1
                yield line, {name: to_cell(value, name, f"{source}:{line}") for name, value in record.items()}

    lists = frozenset(f.name for f in kept if pa.types.is_list(f.type) or pa.types.is_large_list(f.type))
    return RowReader(source, tuple(names), records, lists)
