"""Any file of tagged sentences, by what it is: columns, JSON, parquet, plain text, or a folder with seq.in."""

from __future__ import annotations

from pathlib import Path

from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.conll import read_conll
from hf_ext.data.tagging.sentences import SentenceFile
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
    return read_conll(path, arguments, unlabelled=unlabelled)
