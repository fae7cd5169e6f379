"""Word vectors in the word2vec text format, plain or gzipped."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import numpy as np

from hf_ext.errors import UserError
from hf_ext.progress import with_bar


def read_word_vectors(path: str | Path, vocabulary: Mapping[str, int]) -> tuple[dict[int, np.ndarray], int]:
    """Read the vectors of the tokens in ``vocabulary``; the rest of the file is passed over.

    The format is one token and its numbers a line, separated by spaces, after an optional first line with the
    count and the width (word2vec has it, GloVe does not).

    Args:
        path: The file; a name ending in ``.gz`` is unpacked on the way.
        vocabulary: Token to id, as a tokenizer's ``get_vocab()`` gives it.

    Returns:
        The vectors by token id, each of shape ``(width,)`` in float32, and the width.

    Raises:
        UserError: If the file is missing, is not utf-8 text, or a line has another number of values than the first.
    """
    path = _check_file(path)
    found: dict[int, np.ndarray] = {}
    width: int | None = None
    try:
        with _open(path) as lines:
            for number, token, cells in _entries(lines):
                width = width or len(cells)
                if len(cells) != width:
                    raise UserError(f"{len(cells)} numbers for {token!r}, {width} before", where=f"{path}:{number}")
                if token in vocabulary:
                    found[vocabulary[token]] = _vector(cells, f"{path}:{number}")
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise _not_text(path, error) from None
    if not width:
        raise UserError("no vectors in the file", where=str(path))
    return found, width


def read_vector_tokens(path: str | Path) -> list[str]:
    """Read the tokens that a file of vectors holds, in its order, which is by frequency in most files.

    Raises:
        UserError: If the file is missing or is not utf-8 text.
    """
    path = _check_file(path)
    try:
        with _open(path) as lines:
            return [token for _, token, _ in _entries(lines)]
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise _not_text(path, error) from None


def _check_file(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise UserError("no such file", where=str(path), fix="check --embedding_file")
    return Path(path)


def _not_text(path: Path, error: Exception) -> UserError:
    return UserError(f"not a text file of vectors ({error})", where=str(path))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _entries(lines: TextIO) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line number, token and number cells, without the optional header line."""
    for number, line in enumerate(with_bar(lines, "read vectors", unit="lines"), start=1):
        token, *cells = line.rstrip().split(" ")
        is_header = number == 1 and len(cells) == 1 and token.isdigit() and cells[0].isdigit()
        if cells and not is_header:
            yield number, token, cells


def _vector(cells: list[str], where: str) -> np.ndarray:
    try:
        return np.array(cells, dtype=np.float32)
    except ValueError:
        raise UserError("a value is not a number", where=where, fix="expected: token number number …") from None
