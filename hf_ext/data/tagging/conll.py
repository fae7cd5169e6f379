"""Sentences in columns: a word and its tag a line, a blank line between sentences (CoNLL and its many relatives)."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hf_ext.data.delimited import NAMED_DELIMITERS
from hf_ext.data.encodings import TextFile
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.errors import UserError

BLANKS = re.compile(r"[ \t]+")  # not \s: an ideographic space or a zero-width one can be a word
DOCUMENT_MARK = "-DOCSTART-"
SAMPLE_LINES = 2000
CLEAR_SHARE = 0.9  # of the sampled lines that must hold a separator before it is believed
TAG_SHAPE = re.compile(r"O|[BIELSUM][-_].+")
HEADER_WORDS = frozenset(
    {"token", "tokens", "word", "words", "char", "text", "form", "tag", "tags", "label", "labels"}
    | {"ner", "ner_tag", "ner_tags", "pos", "pos_tag", "chunk", "chunk_tag", "entity", "id", "index"}
)

Splitter = Callable[[str], list[str]]


@dataclass(frozen=True)
class Layout:
    """How the lines of one file are made.

    Args:
        split: Takes a line apart.
        width: Columns of a line.
        word: The column of the word, from 0.
        tag: The column of the tag, from 0; None without tags.
        header: Names of the columns where the first line gives them.
        tags: Every tag that occurs on a line which cannot be a comment.
    """

    split: Splitter
    width: int
    word: int
    tag: int | None
    header: tuple[str, ...]
    tags: frozenset[str]

    def cells(self, line: str) -> list[str]:
        """Take a line apart; a line that lacks its word but begins with a blank has a blank for a word."""
        cells = self.split(line)
        if len(cells) > self.width and cells[0] == "" and self.width > 1:
            cells = cells[1:] if len(cells) - 1 == self.width else cells
        elif len(cells) == self.width and cells[0] == "" and self.split is split_blanks:
            cells[0] = " "
        return cells

    def is_comment(self, line: str) -> bool:
        """Whether a line that begins with ``#`` is no word: it has other columns, or what should be a tag is none."""
        if not line.startswith("#"):
            return False
        cells = self.cells(line)
        if self.tag is None:
            return line.startswith("# ") and len(cells) != self.width
        return len(cells) != self.width or not (cells[self.tag] in self.tags or TAG_SHAPE.fullmatch(cells[self.tag]))


def read_conll(path: Path, arguments: TaggingDataArguments, *, unlabelled: bool = False) -> SentenceFile:
    """Read a file of columns.

    The separator is the one named, else a tab where nearly every line has one, else runs of blanks, else a comma,
    semicolon or bar. The word is the first column and the tag the last one, unless flags say otherwise by number, or
    by name where a first line names the columns. Blank lines and ``-DOCSTART-`` lines end a sentence. A line that
    begins with ``#`` is a comment unless it has all columns and a tag in its last one: ``#`` can be a word.

    Args:
        path: The file, gzipped or not, in any encoding of ``TextFile``.
        arguments: Delimiter and columns as asked for.
        unlabelled: Whether a file with words only will do.

    Raises:
        UserError: Naming the line, if one has too few or too many columns or lacks its tag; or if there is no word.
    """
    file, source = TextFile(path), str(path)
    lines = [line.rstrip("\n") for line in file]
    layout = find_layout(lines, path, arguments, unlabelled=unlabelled)
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []

    def close() -> None:
        if words:
            sentences.append(Sentence(list(words), list(tags) if layout.tag is not None else None, _compact(numbers)))
        for part in (words, tags, numbers):
            part.clear()

    for number, line in enumerate(lines, 1):
        if not line or line.isspace() or line.startswith(DOCUMENT_MARK):
            close()
        elif not (layout.header and number == 1) and not layout.is_comment(line):
            cells = layout.cells(line)
            if len(cells) != layout.width or (layout.tag is not None and not cells[layout.tag].strip()):
                raise _ragged(cells, layout, f"{source}:{number}")
            words.append(cells[layout.word])
            tags += [cells[layout.tag].strip()] if layout.tag is not None else []
            numbers.append(number)
    close()
    if not sentences:
        raise UserError("no sentences", where=source, fix="check that this is the right file")
    columns = [
        None if i is None else (layout.header[i] if layout.header else str(i)) for i in (layout.word, layout.tag)
    ]
    return SentenceFile(sentences, source, tokens_column=columns[0], tags_column=columns[1], notes=file.notes)


def find_layout(lines: Sequence[str], path: Path, arguments: TaggingDataArguments, *, unlabelled: bool) -> Layout:
    """Find out how a file is written, from its first lines and the flags.

    Raises:
        UserError: If it has no words, no tags where they are needed, or not the columns asked for.
    """
    source = str(path)
    plain = [line for line in lines if line.strip() and not line.startswith(("#", DOCUMENT_MARK))]
    sample = plain[:SAMPLE_LINES] or [line for line in islice(lines, SAMPLE_LINES) if line.strip()]
    if not sample:
        raise UserError("no sentences (the file is empty)", where=source, fix="check that this is the right file")
    split = find_splitter(sample, path, arguments.delimiter)
    width = Counter(len(split(line)) for line in sample).most_common(1)[0][0]
    if split is not split_blanks and split is not keep_line:
        split = _joining(split, width)
    first = next(line for line in lines if line.strip())
    header = _find_header(split(first), width) if first is lines[0] else ()
    word = _column(arguments.text_column_name, 0, header, width, "--text_column_name", source)
    tag = _column(arguments.label_column_name, width - 1, header, width, "--label_column_name", source)
    if tag == word:
        if not unlabelled or (width > 1 and arguments.label_column_name):
            what = "the lines hold a word and no tag" if width == 1 else f"column {word} is both word and tag"
            raise UserError(
                what, where=f"{source}:1", fix="pass --delimiter, or --text_column_name and --label_column_name"
            )
        return Layout(split, width, word, None, header, frozenset())
    seen = {cells[tag].strip() for line in plain if len(cells := split(line)) == width}
    return Layout(split, width, word, tag, header, frozenset(seen - {""}))


def find_splitter(sample: Sequence[str], path: Path, delimiter: str | None) -> Splitter:
    """Choose what takes lines apart: the named delimiter, or the first that nearly all lines of a sample hold."""
    if delimiter:
        mark = NAMED_DELIMITERS.get(delimiter, delimiter)
        return split_blanks if mark == " " else (lambda line: line.split(mark))
    if path.with_suffix("" if path.suffix == ".gz" else path.suffix).suffix == ".csv":
        return lambda line: next(csv.reader([line]))

    def share(holds: Callable[[str], bool]) -> float:
        return sum(map(holds, sample)) / len(sample)

    if share(lambda line: "\t" in line) >= CLEAR_SHARE:
        return lambda line: line.split("\t")
    if share(lambda line: len(split_blanks(line)) > 1) >= CLEAR_SHARE:
        return split_blanks
    for mark in ",;|":
        if share(lambda line, mark=mark: mark in line) >= CLEAR_SHARE:  # type: ignore[misc]
            return lambda line: line.split(mark)
    return split_blanks if share(lambda line: len(split_blanks(line)) > 1) > 0.5 else keep_line


def split_blanks(line: str) -> list[str]:
    """Take a line apart at runs of blanks and tabs; a blank in front gives an empty first cell."""
    return BLANKS.split(line.rstrip(" \t"))


def keep_line(line: str) -> list[str]:
    """Give the line as its only cell."""
    return [line]


def _joining(split: Splitter, width: int) -> Splitter:
    """Give surplus separators to the word, where it is the first of two columns: ``,,O`` is a comma and its tag."""
    if width != 2:
        return split

    def split_once(line: str) -> list[str]:
        cells = split(line)
        if len(cells) <= width:
            return cells
        mark = line[len(cells[0])] if line.startswith(cells[0]) and len(line) > len(cells[0]) else "\t"
        return [mark.join(cells[:-1]), cells[-1]]

    return split_once


def _find_header(cells: Sequence[str], width: int) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    known = len(names) == width > 1 and all(name.lower().replace(" ", "_") in HEADER_WORDS for name in names)
    return names if known else ()


def _column(asked: str | None, default: int, header: Sequence[str], width: int, flag: str, source: str) -> int:
    if asked is None:
        return default
    if asked in header:
        return header.index(asked)
    try:
        number = int(asked)
    except ValueError:
        known = f"the columns are {', '.join(header)}" if header else "its columns have numbers, from 0"
        raise UserError(f"{flag} {asked}: no such column; {known}", where=source, fix=f"correct {flag}") from None
    if not -width <= number < width:
        raise UserError(f"{flag} {asked}: the lines have {width} columns", where=source, fix="count from 0")
    return number % width


def _ragged(cells: Sequence[str], layout: Layout, where: str) -> UserError:
    if len(cells) >= layout.width and layout.tag is not None and not cells[layout.tag].strip():
        return UserError(f"the word {cells[layout.word]!r} has no tag", where=where, fix="add its tag")
    if len(cells) == 1 and layout.tag is not None:
        return UserError(f"the word {cells[0]!r} has no tag", where=where, fix="add its tag, or pass --delimiter")
    what = f"{len(cells)} columns, where most lines have {layout.width}"
    return UserError(what, where=where, fix="correct the line, or say what separates the columns: --delimiter tab")


def _compact(numbers: Sequence[int]) -> Sequence[int]:
    """Give line numbers as a range where they follow one another, which is nearly always."""
    run = range(numbers[0], numbers[-1] + 1)
    return run if len(run) == len(numbers) else tuple(numbers)
