"""Rows from JSON: one object a line, an array of objects, or an object with one such array in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hf_ext.data.encodings import TextFile
from hf_ext.data.rows import Row, RowReader, mend_surrogates, to_cell
from hf_ext.errors import UserError

SPACE = re.compile(r"[ \t\n\r]*")
# numbers keep the text they were written in: 1.0 is not 1, and a long id is not rounded
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)

Objects = Callable[[], Iterator[tuple[int, Any]]]


def open_json(
    path: Path, extension: str, *, removed: frozenset[str] = frozenset(), streaming: bool = False
) -> RowReader:
    """Find out how a JSON file holds its rows.

    JSON lines; ``[{…}, …]``; or ``{"data": [{…}, …]}`` with any field name when only one field is a list. Rows may
    have different keys: a missing one is an empty cell. When a cell of a column is a list, all are.

    Args:
        path: The file.
        extension: ``.json``, ``.jsonl`` or ``.txt``.
        removed: Keys to leave out.
        streaming: Whether rows must come without reading the whole file, which only JSON lines allow.

    Raises:
        UserError: If the JSON is broken (file and line), or a row is not an object of plain values.
    """
    objects, notes = open_objects(path, extension, streaming=streaming)
    return _reader(str(path), objects, notes, removed)


def open_objects(path: Path, extension: str, *, streaming: bool = False) -> tuple[Objects, list[str]]:
    """Find the rows of a JSON file, in any of the forms of ``open_json``, and leave them as they are.

    Args:
        path: The file.
        extension: ``.json``, ``.jsonl`` or ``.txt``.
        streaming: Whether rows must come without reading the whole file.

    Returns:
        What gives ``(line, value)`` for each row, with numbers as they are written; and the notes, which reading may
        add to.

    Raises:
        UserError: If the JSON is broken, or holds no rows.
    """
    file, source = TextFile(path), str(path)
    first = file.first_line().lstrip()
    if not first:
        raise UserError("no rows (the file is empty)", where=source, fix="check that this is the right file")
    notes = file.notes
    if is_json_lines(file, extension):
        return (lambda: _line_objects(file, source)), notes
    if streaming:
        raise UserError("one JSON document cannot be streamed", where=source, fix="write it as jsonl, a row a line")
    text = "".join(file)
    start = _skip(text, 0)
    if text[start] not in "[{":
        raise _broken(json.JSONDecodeError("expected '[' or '{'", text, start), source)
    if text[start] == "{":
        name, start = _list_field(text, start, source)
        notes.append(f"{source}: rows taken from the field {name!r}")
    return (lambda: _array_objects(text, start, source)), notes


def is_json_lines(file: TextFile, extension: str) -> bool:
    """Whether each line is a row, judged by the first line (and by the extension when that line is broken).

    A single object may be a row with a list of objects in it (spans), or hold the rows: in ``.jsonl`` only as ``data``.
    """
    first = file.first_line().strip()
    if first.startswith("["):
        return False
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return extension != ".json"
    lists = {k: v for k, v in value.items() if isinstance(v, list)} if isinstance(value, dict) else {}
    wraps_rows = any(
        isinstance(v[0], dict) and (k == "data" or extension != ".jsonl") if v else k == "data"
        for k, v in lists.items()
    )
    return not wraps_rows or sum(1 for line in file if line.strip()) > 1


def _line_objects(file: TextFile, source: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, DECODER.decode(line.strip())
            except json.JSONDecodeError as error:
                raise _broken(error, source, number) from None
            except RecursionError:
                raise _too_deep(f"{source}:{number}") from None


def _array_objects(text: str, start: int, source: str) -> Iterator[tuple[int, Any]]:
    """Decode the elements of the array at ``start`` one by one, keeping count of lines."""
    position, line, counted = _skip(text, start + 1), 1, 0
    while text[position : position + 1] != "]":
        line += text.count("\n", counted, position)
        counted = position
        value, position = _decode(text, position, source)
        yield line, value
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
            if text[position : position + 1] != "]":
                continue
            raise _broken(json.JSONDecodeError("a comma before the closing bracket", text, position), source)
        if text[position : position + 1] != "]":
            raise _broken(json.JSONDecodeError("expected ',' or ']'", text, position), source)


def _list_field(text: str, start: int, source: str) -> tuple[str, int]:
    """Find the one field of the object at ``start`` that holds a list, preferring ``data``."""
    found: dict[str, int] = {}
    position = _skip(text, start + 1)
    while text[position : position + 1] != "}":
        name, position = _decode(text, position, source)
        position = _skip(text, position)
        if text[position : position + 1] != ":":
            raise _broken(json.JSONDecodeError("expected ':'", text, position), source)
        begin = _skip(text, position + 1)
        value, position = _decode(text, begin, source)
        if isinstance(value, list):
            found[str(name)] = begin
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "}":
            raise _broken(json.JSONDecodeError("expected ',' or '}'", text, position), source)
    if "data" in found:
        return "data", found["data"]
    if len(found) == 1:
        return next(iter(found.items()))
    what = f"several fields hold lists ({', '.join(found)})" if found else "the object holds no list of rows"
    raise UserError(what, where=source, fix="write the rows as an array, as JSON lines, or in a field named 'data'")


def _reader(source: str, objects: Objects, notes: list[str], removed: frozenset[str]) -> RowReader:
    def records() -> Iterator[tuple[int, Row]]:
        for line, value in objects():
            where = f"{source}:{line}"
            if not isinstance(value, dict):
                kind = "a list" if isinstance(value, list) else f"the value {str(value)[:40]!r}"
                raise UserError(f"a row is {kind}, not an object", where=where, fix='write rows as {"text": …}')
            kept = {mend_surrogates(name): item for name, item in value.items() if name not in removed}
            yield line, {name: to_cell(item, name, where) for name, item in kept.items()}

    columns, lists, uneven = _survey(row for _, row in records())
    if uneven:
        notes.append(f"{source}: {uneven} rows lack some of the columns; their cells are read as empty")
    return RowReader(source, columns, records, lists, notes)


def _survey(rows: Iterable[Row]) -> tuple[tuple[str, ...], frozenset[str], int]:
    """Collect all columns in the order of their first occurrence, those with lists, and the rows that lack some."""
    columns: dict[str, None] = {}
    lists: set[str] = set()
    sizes: dict[int, int] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
        lists.update(name for name, cell in row.items() if isinstance(cell, list))
        sizes[len(row)] = sizes.get(len(row), 0) + 1
    return tuple(columns), frozenset(lists), sum(n for size, n in sizes.items() if size < len(columns))


def _skip(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def _decode(text: str, position: int, source: str) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise _broken(error, source) from None
    except RecursionError:
        raise _too_deep(f"{source}:{text.count(chr(10), 0, position) + 1}") from None


def _too_deep(where: str) -> UserError:
    return UserError("broken JSON (brackets in brackets without end)", where=where, fix="correct this line")


def _broken(error: json.JSONDecodeError, source: str, line: int | None = None) -> UserError:
    where = f"{source}:{line or error.lineno}"
    return UserError(f"broken JSON ({error.msg}, column {error.colno})", where=where, fix="correct this line")
