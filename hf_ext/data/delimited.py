"""Files of cells between separators: csv, tsv, txt."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.encodings import TextFile
from hf_ext.data.rows import Row, RowReader, name_unnamed
from hf_ext.errors import UserError

STAND_IN = "\x1f"  # the csv module knows one-character separators only; the unit separator stands for longer ones
NAMED_DELIMITERS = {"\\t": "\t", "tab": "\t", "comma": ",", "space": " "}
OTHER_DELIMITERS = ";\t|,"
QUOTED_CELL = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Dialect:
    """How one file writes its cells.

    Args:
        delimiter: What separates cells, one or more characters.
        quoted: Whether quotation marks enclose cells (RFC 4180: doubled inside, line ends allowed inside).
    """

    delimiter: str
    quoted: bool

    def records(self, lines: Iterable[str], source: str) -> Iterator[tuple[int, list[str]]]:
        """Give the first line number and the cells of each record; blank lines are passed over.

        Raises:
            UserError: If a quotation mark is not closed, or text follows a closed one.
        """
        return self._quoted_records(lines, source) if self.quoted else self._plain_records(lines)

    def _plain_records(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\n")
            if text.strip(" "):
                yield number, text.split(self.delimiter)

    def _quoted_records(self, lines: Iterable[str], source: str) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses cells above 128 KiB
        mark = self.delimiter if len(self.delimiter) == 1 else STAND_IN
        if mark != self.delimiter:
            lines = (line.replace(self.delimiter, mark) for line in lines)
        reader = csv.reader(lines, delimiter=mark, strict=True)
        start = 1
        try:
            for cells in reader:
                if len(cells) > 1 or (cells and cells[0].strip(" ")):
                    yield start, [cell.replace(mark, self.delimiter) for cell in cells] if mark == STAND_IN else cells
                start = reader.line_num + 1
        except csv.Error as error:
            if "unexpected end" in str(error):
                what, fix = "a quotation mark opens here and is never closed", "close it, or pass --quoting none"
            else:
                what = "text follows a closing quotation mark"
                fix = "double the quotation marks inside cells, or pass --quoting none"
            raise UserError(what, where=f"{source}:{start}", fix=fix) from None


def open_delimited(
    path: Path, extension: str, arguments: DataArguments, *, label_column: str | None = None
) -> RowReader:
    """Find out how a csv, tsv or txt file is written.

    A csv or tsv file begins with a header line unless ``--column_names`` gives the names. A txt file has none: it
    holds ``label<TAB>text`` when each line has exactly one tab, else one text a line, unless ``--column_names``
    says what its cells are.

    Args:
        path: The file.
        extension: ``.csv``, ``.tsv`` or ``.txt``.
        arguments: Column names, delimiter and quoting as asked for.
        label_column: This column of ``--column_names`` may be absent (test files without labels).

    Raises:
        UserError: If the file is empty or its header looks wrong; rows are checked while they are read.
    """
    file, source = TextFile(path), str(path)
    if not file.first_line():
        raise UserError("no rows (the file is empty)", where=source, fix="check that this is the right file")
    if extension == ".txt" and not arguments.column_names:
        if arguments.delimiter:
            raise UserError("a .txt file has no header line", where=source, fix="name its columns with --column_names")
        return _open_plain(file)
    default = "," if extension == ".csv" else "\t"
    delimiter = NAMED_DELIMITERS.get(arguments.delimiter or "", arguments.delimiter) or default
    dialect = Dialect(delimiter, _is_quoted(file, delimiter, extension, arguments.quoting))
    _, first = next(dialect.records(file, source), (1, []))
    if not first:
        raise UserError("no rows (every cell is empty)", where=source, fix="check that this is the right file")
    names = tuple(split_names(arguments.column_names))
    has_header = not names or name_unnamed(first) == names
    if not names:
        names = name_unnamed(first)
        _check_header(names, source, delimiter)
    elif len(first) == len(names) - 1 and label_column in names:
        names = tuple(name for name in names if name != label_column)
        file.notes.append(f"{source}: has no column {label_column!r}")
    return _reader(file, names, dialect, has_header=has_header)


def _reader(file: TextFile, names: tuple[str, ...], dialect: Dialect, *, has_header: bool) -> RowReader:
    source = str(file.path)

    def records() -> Iterator[tuple[int, Row]]:
        found = dialect.records(file, source)
        if has_header:
            next(found)
        for line, cells in found:
            if len(cells) != len(names):
                raise _ragged(len(cells), names, where=f"{source}:{line}", delimiter=dialect.delimiter)
            yield line, dict(zip(names, cells, strict=True))

    return RowReader(source, names, records, notes=file.notes)


def _open_plain(file: TextFile) -> RowReader:
    if all(line.count("\t") == 1 for line in file if line.strip()):
        file.notes.append(
            f"{file.path}: read as label<TAB>text; for another order name the columns, e.g. --column_names text,label"
        )
        dialect = Dialect("\t", _is_quoted(file, "\t", ".txt", "auto"))
        return _reader(file, ("label", "text"), dialect, has_header=False)

    def records() -> Iterator[tuple[int, Row]]:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, {"text": line.rstrip("\n")}

    return RowReader(str(file.path), ("text",), records, notes=file.notes)


def _is_quoted(file: TextFile, delimiter: str, extension: str, quoting: str) -> bool:
    """Whether quotation marks enclose cells: csv says yes, other files are looked at.

    They do when each cell that begins with one also ends with one and doubles those inside. Cells with line ends
    inside are seen by the second test: only a quoted reading gives all rows the same number of cells.
    """
    if quoting != "auto":
        return quoting == "minimal"
    if extension == ".csv":
        return True
    lines = (line.rstrip("\n").split(delimiter) for line in file)
    if all(QUOTED_CELL.fullmatch(cell) for cells in lines for cell in cells if cell.startswith('"')):
        return True
    return not _is_even(Dialect(delimiter, False), file) and _is_even(Dialect(delimiter, True), file)


def _is_even(dialect: Dialect, file: TextFile) -> bool:
    try:
        return len({len(cells) for _, cells in dialect.records(file, str(file.path))}) == 1
    except UserError:
        return False


def _check_header(names: tuple[str, ...], source: str, delimiter: str) -> None:
    other = next((c for c in OTHER_DELIMITERS if c in names[0] and c != delimiter), None)
    if len(names) == 1 and other:
        raise UserError(
            f"the header is one column {names[0]!r}, which looks separated by {other!r}",
            where=f"{source}:1",
            fix=f"pass --delimiter {'tab' if other == chr(9) else repr(other)}",
        )


def _ragged(count: int, names: tuple[str, ...], *, where: str, delimiter: str) -> UserError:
    few = count < len(names)
    fix = (
        "add the missing cells (empty ones need their separators too)"
        if few
        else f"put cells that contain {delimiter!r} in quotation marks, or check --delimiter and --quoting"
    )
    return UserError(f"{count} cells in a table of {len(names)} columns ({', '.join(names)})", where=where, fix=fix)
