"""Small files of rows, and the messages that broken ones must give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import read_rows
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.errors import UserError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def cells(path: Path, **flags: Any) -> list[tuple[Any, ...]]:
    """The cells of each row without the line numbers."""
    table = read_rows(path, DataArguments(**flags))
    return [tuple(row[name] for name in table.columns) for row in table.rows]


def lines(path: Path, **flags: Any) -> list[int]:
    return list(read_rows(path, DataArguments(**flags)).rows[LINE_COLUMN][:])


def fails(path: Path, where: str | int, *words: str, **flags: Any) -> None:
    """Reading the file must give a one-line message that begins with ``file:line`` and has all the words."""
    with pytest.raises(UserError) as error:
        read_rows(path, DataArguments(**flags))
    message = str(error.value)
    place = f"{path}:{where}" if isinstance(where, int) else f"{path}{where}"
    assert message.startswith(f"{place}: "), message
    assert "\n" not in message
    assert " – " in message, "the message lacks a remedy"
    for word in words:
        assert word in message, message
