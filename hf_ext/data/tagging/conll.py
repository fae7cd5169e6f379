"""Sentences in columns: a word and its tag a line, a blank line between sentences (CoNLL and its many relatives)."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_ext.data.delimited import NAMED_DELIMITERS
from hf_ext.data.encodings import TextFile
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.errors import UserError
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.progress import with_bar

BLANKS = re.compile(r"[ \t]+")  # not \s: an ideographic space or a zero-width one can be a word
DOCUMENT_MARK = "-DOCSTART-"
SAMPLE_LINES = 2000
CLEAR_SHARE = 0.9  # of the sampled lines that must hold a separator before it is believed
FIRST, LAST = "0", "-1"  # the columns of word and tag, unless said otherwise
TAG_SHAPE = re.compile(r"O|[BIELSUM][-_].+")
TAGGED_LINE = re.compile(r".*\W(?:O|[BIELSUM][-_]\S+)")  # whatever stands between word and tag
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
        has_header: Whether the first line names the columns.
        tags: Every tag that occurs on a line which cannot be a comment.
    """

    split: Splitter
    width: int
    word: int
    tag: int | None
    has_header: bool = False
    tags: frozenset[str] = frozenset()

    def cells(self, line: str) -> list[str]:
        """Take a line apart; where blanks separate, a blank in front is itself the word if none follows."""
        cells = self.split(line)
        if self.split is split_blanks and cells[0] == "":
            return [" ", *cells[1:]] if len(cells) == self.width else cells[1:]
        return cells

    def is_comment(self, line: str) -> bool:
        """Whether a line that begins with ``#`` is no word: it has other columns, or what should be a tag is none."""
        if not line.startswith("#"):
            return False
        cells = self.cells(line)
        if self.tag is None:
            return len(cells) != self.width or (self.width == 1 and line.startswith("# "))
        return len(cells) != self.width or not (cells[self.tag] in self.tags or TAG_SHAPE.fullmatch(cells[self.tag]))


def read_conll(
    path: Path, arguments: TaggingDataArguments, *, unlabelled: bool = False, saved: TaggingSchema | None = None
) -> SentenceFile:
    """Read a file of columns.

    The separator is the one named, else a tab where nearly every line has one, else runs of blanks, else a comma,
    semicolon or bar. The word is the first column and the tag the last one, unless flags say otherwise by number, or
    by name where a first line names the columns. Blank lines and ``-DOCSTART-`` lines end a sentence. A line that
    begins with ``#`` is a comment unless it has all columns and a tag in the right one: ``#`` can be a word.

    Args:
        path: The file, gzipped or not, in any encoding of ``TextFile``.
        arguments: Delimiter and columns as asked for.
        unlabelled: Whether a file with words only will do.
        saved: The schema of the model, whose column numbers are taken where no flag gives others.

    Raises:
        UserError: Naming the line, if one has too few or too many columns or lacks its tag; or if there is no word.
    """
    file, source = TextFile(path), str(path)
    lines = [line.rstrip("\n") for line in file]
    layout = find_layout(lines, path, _with_saved_columns(arguments, saved), unlabelled=unlabelled)
    sentences: list[Sentence] = []
    rows: list[tuple[int, list[str]]] = []  # of the sentence that is being read
    for number, line in enumerate(with_bar([*lines, ""], f"read {path.name}", unit="lines"), 1):
        if not line or line.isspace() or line.startswith(DOCUMENT_MARK):
            if rows:
                sentences.append(_as_sentence(rows, layout))
                rows = []
        elif not (layout.has_header and number == 1) and not layout.is_comment(line):
            cells = layout.cells(line)
            if len(cells) != layout.width or (layout.tag is not None and not cells[layout.tag].strip()):
                raise _ragged(cells, layout, f"{source}:{number}")
            rows.append((number, cells))
    if not sentences:
        raise UserError("no sentences", where=source, fix="check that this is the right file")
    word, tag = arguments.text_column_name or FIRST, arguments.label_column_name or LAST
    tags_column = None if layout.tag is None else tag
    return SentenceFile(sentences, source, tokens_column=word, tags_column=tags_column, notes=file.notes)


def find_layout(lines: Sequence[str], path: Path, arguments: TaggingDataArguments, *, unlabelled: bool) -> Layout:
    """Find out how a file is written, from its lines and the flags.

    Raises:
        UserError: If it has no words, no tags where they are needed, or not the columns asked for.
    """
    source = str(path)
    filled = [line for line in lines if line.strip() and not line.startswith(DOCUMENT_MARK)]
    plain = [line for line in filled if not line.startswith("#")] or filled
    sample = plain[:SAMPLE_LINES]
    if not sample:
        raise UserError("no sentences (the file is empty)", where=source, fix="check that this is the right file")
    split = find_splitter(sample, path, arguments.delimiter)
    width = Counter(len(split(line)) for line in sample).most_common(1)[0][0]
    header = _find_header(split(lines[0]), width)
    word = _column(arguments.text_column_name or FIRST, header, width, "--text_column_name", source)
    tag = _column(arguments.label_column_name or LAST, header, width, "--label_column_name", source)
    if tag != word:
        seen = {cells[tag].strip() for line in plain if len(cells := split(line)) == width}
        return Layout(split, width, word, tag, bool(header), frozenset(seen - {""}))
    tagged = [line for line in sample if TAGGED_LINE.fullmatch(line)]
    if width == 1 and len(tagged) * 2 > len(sample):
        what = f"the lines hold one column, and most end in what looks like a tag ({tagged[0][:40]!r})"
        raise UserError(what, where=source, fix="say what separates the columns: --delimiter")
    if unlabelled and width == 1:
        return Layout(split, width, word, None)
    what = "the lines hold a word and no tag" if width == 1 else f"column {word} is both word and tag"
    raise UserError(what, where=f"{source}:1", fix="pass --delimiter, or --text_column_name and --label_column_name")


def find_splitter(sample: Sequence[str], path: Path, delimiter: str | None) -> Splitter:
    """Choose what takes lines apart: the named delimiter, or the first that nearly all lines of a sample hold."""
    if delimiter:
        mark = NAMED_DELIMITERS.get(delimiter, delimiter)
        return split_blanks if mark == " " else _splitter_at(mark, sample)
    if (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower() == ".csv":
        return split_csv

    def share(holds: Callable[[str], bool]) -> float:
        return sum(map(holds, sample)) / len(sample)

    if share(lambda line: "\t" in line) >= CLEAR_SHARE:
        return _splitter_at("\t", sample)
    if all(line.startswith((" ", "\t")) for line in sample):
        return split_indented
    blanks = share(lambda line: len(split_blanks(line)) > 1)
    if blanks >= CLEAR_SHARE:
        return split_blanks
    for mark in ",;|":
        if share(partial(_holds, mark)) >= CLEAR_SHARE:
            return _splitter_at(mark, sample)
    return split_blanks if blanks > 0.5 else keep_line  # the ragged line is then named


def split_blanks(line: str) -> list[str]:
    """Take a line apart at runs of blanks and tabs; a blank in front gives an empty first cell."""
    return BLANKS.split(line.rstrip(" \t"))


def split_indented(line: str) -> list[str]:
    """Take a line apart as ``split_blanks`` does, in a file where every line is indented."""
    return split_blanks(line.lstrip(" \t"))


def split_csv(line: str) -> list[str]:
    """Take a line apart at commas outside of quotation marks."""
    return next(csv.reader([line]))


def keep_line(line: str) -> list[str]:
    """Give the line as its only cell."""
    return [line]


def _holds(mark: str, line: str) -> bool:
    return mark in line


def _splitter_at(mark: str, sample: Sequence[str]) -> Splitter:
    """Split at a mark; in two columns only at the last one, since ``,,O`` is a comma and its tag."""
    width = Counter(line.count(mark) + 1 for line in sample).most_common(1)[0][0]
    return lambda line: line.rsplit(mark, 1) if width == 2 else line.split(mark)


def _as_sentence(rows: Sequence[tuple[int, list[str]]], layout: Layout) -> Sentence:
    numbers = [number for number, _ in rows]
    run = range(numbers[0], numbers[-1] + 1)
    return Sentence(
        [cells[layout.word] for _, cells in rows],
        None if layout.tag is None else [cells[layout.tag].strip() for _, cells in rows],
        run if len(run) == len(numbers) else tuple(numbers),
    )


def _find_header(cells: Sequence[str], width: int) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    known = len(names) == width > 1 and all(name.lower() in HEADER_WORDS for name in names)
    return names if known else ()


def _with_saved_columns(arguments: TaggingDataArguments, saved: TaggingSchema | None) -> TaggingDataArguments:
    """Fill in what the saved model says of its columns, if they are numbers, as those of CoNLL files are."""
    known = {"text_column_name": saved.tokens_column, "label_column_name": saved.tags_column} if saved else {}
    numbers: dict[str, Any] = {name: v for name, v in known.items() if v and v.lstrip("-").isdigit()}
    return replace(arguments, **{name: getattr(arguments, name) or value for name, value in numbers.items()})


def _column(asked: str, header: Sequence[str], width: int, flag: str, source: str) -> int:
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
    lacks_tag = layout.tag is not None and (
        len(cells) == 1 or (len(cells) == layout.width and not cells[layout.tag].strip())
    )
    if lacks_tag:
        return UserError(f"the word {cells[0]!r} has no tag", where=where, fix="add it, or say --delimiter")
    what = f"{len(cells)} columns, where most lines have {layout.width}"
    return UserError(what, where=where, fix="correct the line, or say what separates the columns: --delimiter tab")
