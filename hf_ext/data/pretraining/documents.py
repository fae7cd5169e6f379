"""Documents in files: lines of text put together, or the text column of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from hf_ext.data.arguments import DataArguments
from hf_ext.data.columns import TEXT_NAMES
from hf_ext.data.delimited import open_delimited
from hf_ext.data.encodings import TextFile
from hf_ext.data.files import find_extension, holds_json, open_parquet, parquet_batches
from hf_ext.data.jsonrows import open_objects
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.rows import to_cell
from hf_ext.errors import UserError, did_you_mean

SECTION = 4000  # characters of neighbouring lines that make a document where a text has none of its own
SHORTEST_SECTION, SECTIONS = 400, 100  # a small file has shorter ones, so that some can be held out
LONGEST_DOCUMENT = 1_000_000  # characters; longer ones are cut, so that no tokenizer gets all of a file at once
SAMPLED = 2000  # lines, or rows, looked at to see how a file is made
GOLDEN_RATIO = (5**0.5 - 1) / 2
LONE_LINES = 0.9  # share of blocks with one line from which empty lines only set paragraphs apart


class Document(NamedTuple):
    """A text and the line (from 1) where it begins, or the number of its row."""

    text: str
    line: int


@dataclass
class DocumentReader:
    """Read the documents of files, in constant memory but for JSON that is one document.

    Args:
        boundary: What a document is in a text file, see ``--document_boundary``.
        text_column: Column of the text in files of rows; None goes by the usual names.
        delimiter: Cell separator of csv and tsv files; None goes by the extension.
        quoting: Whether quotation marks enclose cells.
        notes: What a reader of the log should know; reading adds some.
    """

    boundary: str = "auto"
    text_column: str | None = None
    delimiter: str | None = None
    quoting: str = "auto"
    notes: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set, repr=False)  # boundaries that a note names a file for

    @property
    def state(self) -> list[str | None]:
        """All that decides what is read."""
        return [self.boundary, self.text_column, self.delimiter, self.quoting]

    @classmethod
    def from_arguments(cls, arguments: PretrainingDataArguments) -> DocumentReader:
        """Take what the flags say."""
        return cls(arguments.document_boundary, arguments.text_column_name, arguments.delimiter, arguments.quoting)

    def read(self, path: Path) -> Iterator[Document]:
        """Give the documents of a file, without blanks around them and without empty ones; note a file without any.

        Raises:
            UserError: If the file cannot be read, or has no text column.
        """
        empty = True
        for document in self._read(path):
            empty = False
            yield document
        if empty:
            self.note(f"{path}: no text")

    def read_rows(self, rows: Iterable[tuple[int, Mapping[str, Any]]], source: str) -> Iterator[Document]:
        """Give the text of each row that has one.

        Args:
            rows: Line and cells of each row.
            source: Where they come from, for messages.

        Raises:
            UserError: If there is no text column, or a text is an object.
        """
        rows, empty = iter(rows), 0
        head = list(islice(rows, SAMPLED))
        if not head:
            return
        column = self.choose_column([name for _, row in head for name in row], source)
        for part in (head, rows):
            for line, row in part:
                if text := _read_cell(row.get(column), column, f"{source}:{line}"):
                    yield from _cut(Document(text, line))
                else:
                    empty += 1
        if empty:
            self.note(f"{source}: {empty} rows without a text left out")

    def choose_column(self, names: Iterable[str], source: str) -> str:
        """Choose the text column among the names of all columns: the one asked for, a usual name, the only one.

        Raises:
            UserError: If there is none, listing the columns.
        """
        present = list(dict.fromkeys(names))
        listed = ", ".join(present)
        if self.text_column:
            if self.text_column not in present:
                what = f"no column {self.text_column!r} among: {listed}"
                raise UserError(what, where=source, fix=did_you_mean(self.text_column, present))
            return self.text_column
        by_lower = {name.lower(): name for name in reversed(present)}
        found = next((by_lower[name] for name in ("text", *TEXT_NAMES) if name in by_lower), None)
        if found is None and len(present) == 1:
            found = present[0]
        if found is None:
            what = f"which column is the text? There are: {listed}"
            raise UserError(what, where=source, fix="pass --text_column_name")
        return found

    def note(self, line: str) -> None:
        """Keep a note, once."""
        if line not in self.notes:
            self.notes.append(line)

    def _read(self, path: Path) -> Iterator[Document]:
        extension, source = find_extension(path), str(path)
        if extension == ".parquet":
            yield from self._read_parquet(path)
        elif extension in (".json", ".jsonl") or (extension == ".txt" and holds_json(path)):
            objects, notes = open_objects(path, extension)
            yield from self.read_rows(_as_rows(objects(), source), source)
            for note in notes:
                self.note(note)
        elif extension == ".txt":
            yield from self._read_lines(TextFile(path))
        else:
            asked = DataArguments(delimiter=self.delimiter, quoting=self.quoting)
            reader = open_delimited(path, extension, asked)
            yield from self.read_rows(reader.records(), source)
            for note in reader.notes:
                self.note(note)

    def _read_parquet(self, path: Path) -> Iterator[Document]:
        column = self.choose_column(open_parquet(path).schema_arrow.names, str(path))
        batches = parquet_batches(path, [column])
        cells = (cell for batch in batches for cell in batch.column(0).to_pylist())
        yield from self.read_rows(((number, {column: cell}) for number, cell in enumerate(cells, 1)), str(path))

    def _read_lines(self, file: TextFile) -> Iterator[Document]:
        boundary = self.boundary
        if boundary == "auto":
            boundary = guess_boundary(islice(file, SAMPLED))
            if boundary not in self._told:
                self._told.add(boundary)
                self.note(f"{file.path}: documents are {_DESCRIBED[boundary]} (--document_boundary says otherwise)")
        usual = min(SECTION, max(SHORTEST_SECTION, file.path.stat().st_size // SECTIONS))
        for document in _join_lines(file, boundary, usual):
            yield from _cut(document)
        for note in file.notes:
            self.note(note)


_DESCRIBED = {"empty_line": "what stands between empty lines", "section": "sections of neighbouring lines"}


def guess_boundary(lines: Iterable[str]) -> str:
    """Tell whether empty lines part documents (``empty_line``) or only paragraphs, if there are any (``section``).

    Where nearly each block between empty lines has one line, as in most novels, the blocks are paragraphs: a document
    of each would take the context from them that they have.
    """
    blocks: list[int] = []
    after_empty = True
    for line in lines:
        if not line.strip():
            after_empty = True
        elif after_empty:
            blocks.append(1)
            after_empty = False
        else:
            blocks[-1] += 1
    lone = sum(size == 1 for size in blocks)
    return "empty_line" if len(blocks) > 1 and lone < LONE_LINES * len(blocks) else "section"


def _join_lines(lines: Iterable[str], boundary: str, usual: int) -> Iterator[Document]:
    held: list[str] = []
    sections = _section_sizes(usual)
    longest, first, size = next(sections), 0, 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if held and (boundary == "line" or (not text and boundary == "empty_line") or size >= longest):
            yield Document("\n".join(held), first)
            held, size, longest = [], 0, next(sections)
        if text:
            first = first if held else number
            held.append(text)
            size += len(text) if boundary == "section" else 0
    if held:
        yield Document("\n".join(held), first)


def _section_sizes(usual: int) -> Iterator[float]:
    """Give sizes from 3/4 to 5/4 of the usual one, spread evenly (multiples of the golden ratio, Weyl, 1916).

    Sections of one size would leave rests of one size when they are cut into rows, and no two would fill a row.
    """
    for number in count():
        yield usual * (0.75 + 0.5 * (number * GOLDEN_RATIO % 1))


def _cut(document: Document) -> Iterator[Document]:
    """Cut a document of extreme length at line ends or blanks, or anywhere if there are none."""
    text, start = document.text, 0
    while len(text) - start > LONGEST_DOCUMENT:
        end = start + LONGEST_DOCUMENT
        middle = start + LONGEST_DOCUMENT // 2
        end = next((at for mark in "\n " if (at := text.rfind(mark, middle, end)) > 0), end)
        yield Document(text[start:end].strip(), document.line)
        start = end
    yield Document(text[start:].strip() if start else text, document.line)


def _read_cell(cell: Any, column: str, where: str) -> str:
    parts = cell if isinstance(cell, list) else [cell]
    if any(isinstance(part, dict | list | bytes) for part in parts):
        raise UserError(f"column {column!r} holds no text", where=where, fix="name another --text_column_name")
    return "\n".join(str(to_cell(part, column, where)) for part in parts).strip()


def _as_rows(objects: Iterable[tuple[int, Any]], source: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, value in objects:
        if not isinstance(value, dict):
            raise UserError("a row is not an object", where=f"{source}:{line}", fix='write rows as {"text": …}')
        yield line, value
