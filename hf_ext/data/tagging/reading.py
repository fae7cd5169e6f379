"""Any file of tagged sentences, by what it is: columns, JSON, parquet, plain text, or a folder with seq.in."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from hf_ext.data.encodings import TextFile
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.conll import read_conll
from hf_ext.data.tagging.lines import WORDS_FILE, looks_like_text, read_line_folder, read_text
from hf_ext.data.tagging.sentences import SentenceFile
from hf_ext.data.tagging.tables import read_json, read_parquet
from hf_ext.errors import UserError
from hf_ext.models.tagging_schema import TaggingSchema


def read_sentences(
    path: str | Path,
    arguments: TaggingDataArguments,
    *,
    unlabelled: bool = False,
    level: str | None = None,
    saved: TaggingSchema | None = None,
) -> SentenceFile:
    """Read a file into memory.

    Args:
        path: The file or folder.
        arguments: Format, delimiter and columns as asked for.
        unlabelled: Whether sentences without tags will do.
        level: What a word is where the input is text; None finds out.
        saved: The schema of the model, whose columns are looked for where no flag names others.

    Raises:
        UserError: If it cannot be read, naming file and line.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no such file", where=str(path), fix="check the path")
    if path.is_dir():
        if not (path / WORDS_FILE).is_file():
            raise UserError(
                f"a folder without {WORDS_FILE}", where=str(path), fix="name a file, or pass the folder as --data_dir"
            )
        return read_line_folder(path, arguments, unlabelled=unlabelled)
    kind = arguments.file_format
    if kind == "auto":
        kind = find_format(path, arguments, unlabelled=unlabelled, tags=saved.tags if saved else ())
    if kind == "json":
        return read_json(path, arguments, unlabelled=unlabelled, level=level, saved=saved)
    if kind == "parquet":
        return read_parquet(path, arguments, unlabelled=unlabelled, level=level, saved=saved)
    if kind == "text":
        return read_text(path, unlabelled=unlabelled, level=level)
    return read_conll(path, arguments, unlabelled=unlabelled, saved=saved)


def find_format(path: Path, arguments: TaggingDataArguments, *, unlabelled: bool, tags: Collection[str] = ()) -> str:
    """Tell what a file is: ``.json``, ``.jsonl`` and ``.parquet`` by name, what is in a ``.txt`` by content.

    Everything else is columns; their files have too many extensions to list.

    Args:
        path: The file.
        arguments: A delimiter says that it has columns.
        unlabelled: Whether text without tags will do.
        tags: Those of the model, where they are known.
    """
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix in (".json", ".jsonl", ".parquet"):
        return "parquet" if suffix == ".parquet" else "json"
    if suffix != ".txt" or arguments.delimiter:
        return "conll"
    if _is_object(TextFile(path).first_line()):
        return "json"
    return "text" if unlabelled and looks_like_text(path, tags) else "conll"


def _is_object(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
