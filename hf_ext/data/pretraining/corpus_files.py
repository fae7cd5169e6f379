"""Which files a source of text has: a file, all files of a folder, or those that match a pattern."""

from __future__ import annotations

import glob
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_ext.data.arguments import split_names
from hf_ext.data.files import EXTENSIONS, find_extension
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.errors import UserError

NAMED_FILES = 3  # in a message


@dataclass(frozen=True)
class TextSource:
    """One entry of ``--train_file`` or ``--validation_file``.

    Args:
        name: The entry as the user wrote it.
        files: Its files, sorted, none twice.
    """

    name: str
    files: tuple[Path, ...]


def find_sources(entries: str, *, flag: str, without: Collection[Path] = ()) -> list[TextSource]:
    """Find the files of each comma-separated entry.

    A folder gives all files of known kinds in it and below it, but for hidden ones; a pattern gives what it matches,
    ``**`` being any folders. A name with a comma in it may stand alone.

    Args:
        entries: The value of the flag.
        flag: The flag, for messages.
        without: Files that folders and patterns pass over, because they are named for another split.

    Raises:
        UserError: If an entry has no file, or a file of an unknown kind is named.
    """
    names = [entries] if Path(entries).exists() else split_names(entries)
    passed_over = {path.resolve() for path in without}
    sources = [_find_source(name, flag, passed_over) for name in names]
    if not sources:
        raise UserError(f"--{flag} names nothing", fix="name a file, a folder or a pattern")
    return sources


def find_named_sources(arguments: PretrainingDataArguments) -> tuple[list[TextSource], list[TextSource]]:
    """Find the sources of ``--train_file`` and of ``--validation_file``; files of the second are not in the first.

    Raises:
        UserError: If an entry has no file, or weights are not given for each source.
    """
    train: list[TextSource] = []
    validation: list[TextSource] = []
    if arguments.validation_file:
        validation = find_sources(arguments.validation_file, flag="validation_file")
    if arguments.train_file:
        named = [path for source in validation for path in source.files]
        train = find_sources(arguments.train_file, flag="train_file", without=named)
    if arguments.weights and len(arguments.weights) != len(train):
        what = f"--data_weights gives {len(arguments.weights)} weights for {len(train)} sources of --train_file"
        raise UserError(what, fix="give each source one weight")
    return train, validation


def list_files(sources: Sequence[TextSource]) -> list[Path]:
    """Give the files of all sources, none twice."""
    return list(dict.fromkeys(path for source in sources for path in source.files))


def describe_files(files: Sequence[str]) -> str:
    """Name the first files, and count the others."""
    more = len(files) - NAMED_FILES
    return ", ".join(files[:NAMED_FILES]) + (f" and {more} more files" if more > 0 else "")


def _find_source(name: str, flag: str, passed_over: Collection[Path]) -> TextSource:
    path = Path(name).expanduser()
    if path.is_file():
        find_extension(path)
        return TextSource(name, (path,))
    if path.is_dir():
        found = [p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts)]
    elif glob.has_magic(name):
        found = [Path(match) for match in glob.glob(str(path), recursive=True)]
    else:
        raise UserError("no such file or folder", where=name, fix=f"check --{flag}")
    files = sorted(p for p in found if p.is_file() and is_text_file(p) and p.resolve() not in passed_over)
    if not files:
        what = "no file of text in it" if path.is_dir() else "no file of text matches"
        raise UserError(what, where=name, fix=f"use files that end in {' '.join(EXTENSIONS)}, or check --{flag}")
    return TextSource(name, tuple(files))


def is_text_file(path: Path) -> bool:
    """Whether the extension of a file is one that is read."""
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return suffix.lower() in EXTENSIONS
