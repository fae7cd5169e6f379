"""Lists of tokens to be added: txt, tsv, csv or json, each token with a description if there is one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ext.errors import UserError

HEADERS = ("token", "tokens", "word")  # a first row that begins with one of these names columns
SUFFIXES = (".txt", ".tsv", ".csv", ".json", ".jsonl")


@dataclass(frozen=True)
class AddedEntry:
    """A token to be added.

    Args:
        token: The word as texts have it.
        description: Words that say what it means; its vector can start from theirs.
        as_written: The token is spelled as the vocabulary spells it (``##ing``, ``Ġblock``), not as texts do.
    """

    token: str
    description: str | None = None
    as_written: bool = False


def read_token_list(path: str | Path) -> list[AddedEntry]:
    """Read the tokens of a file, each once, in its order.

    ``.txt`` and ``.tsv`` hold one token a line, with a description behind a tab if there is one; ``.csv`` the same in
    cells, with or without the header ``token,description``. ``.json`` holds a list of tokens, a list of objects with
    ``token`` and perhaps ``description`` and ``as_written``, or one object ``{token: description}``; ``.jsonl`` such
    an object a line.

    Raises:
        UserError: If the file is missing, is not utf-8 text, is of another kind, or holds no token.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"unknown kind of token list ({path.suffix or 'no extension'})",
            where=str(path),
            fix=f"use one of {' '.join(SUFFIXES)}",
        )
    text = _read(path)
    entries: dict[str, AddedEntry] = {}
    for entry in _from_json(text, path) if path.suffix.lower() in (".json", ".jsonl") else _from_rows(text, path):
        if entry.token.strip():
            entries.setdefault(entry.token, entry)
    if not entries:
        raise UserError("no tokens in the file", where=str(path), fix="write one token a line")
    return list(entries.values())


def write_token_list(path: str | Path, entries: Iterable[AddedEntry]) -> None:
    """Write tokens as JSON that ``read_token_list`` reads back."""
    rows = [
        {"token": entry.token}
        | ({"description": entry.description} if entry.description else {})
        | ({"as_written": True} if entry.as_written else {})
        for entry in entries
    ]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    Path(path).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _read(path: Path) -> str:
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(what, where=str(path), fix="check --add_tokens")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"byte {error.start} is not UTF-8", where=f"{path}:{line}", fix="save it as UTF-8") from None


def _from_rows(text: str, path: Path) -> list[AddedEntry]:
    if path.suffix.lower() == ".csv":
        rows = list(csv.reader(text.splitlines()))
    else:
        rows = [line.split("\t") for line in text.splitlines()]
    if rows and rows[0] and len(rows[0]) > 1 and rows[0][0].strip().lower() in HEADERS:
        rows[0] = []
    for number, cells in enumerate(rows, 1):
        if len(cells) > 2:
            raise UserError(f"{len(cells)} cells", where=f"{path}:{number}", fix="expected: token, description")
    return [AddedEntry(cells[0].strip(), _description(cells[1:])) for cells in rows if cells]


def _description(cells: list[str]) -> str | None:
    return (cells[0].strip() or None) if cells else None


def _from_json(text: str, path: Path) -> list[AddedEntry]:
    try:
        if path.suffix.lower() == ".jsonl":
            items: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            items = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"broken JSON ({error.msg})", where=f"{path}:{error.lineno}", fix="correct it") from None
    if isinstance(items, dict):
        items = [{"token": token, "description": description} for token, description in items.items()]
    if not isinstance(items, list):
        raise UserError("holds neither a list nor an object", where=str(path), fix='write ["token", …]')
    return [_entry(item, f"{path}: item {number}") for number, item in enumerate(items, 1)]


def _entry(item: Any, where: str) -> AddedEntry:
    if isinstance(item, str):
        return AddedEntry(item.strip())
    if not isinstance(item, dict) or not isinstance(item.get("token"), str):
        raise UserError(f"{str(item)[:40]!r} names no token", where=where, fix='write "token" or {"token": …}')
    description = item.get("description")
    if description is not None and not isinstance(description, str):
        raise UserError(f"the description {str(description)[:40]!r} is not text", where=where, fix="write it as text")
    token = item["token"] if item.get("as_written") else item["token"].strip()
    return AddedEntry(token, description or None, bool(item.get("as_written")))
