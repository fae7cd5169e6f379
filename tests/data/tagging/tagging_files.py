"""Small tagged files, what is read from them, and the messages that broken ones must give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hf_ext.data.tagging import TaggingData, TaggingDataArguments
from hf_ext.data.tagging.reading import read_sentences
from hf_ext.data.tagging.sentences import SentenceFile
from hf_ext.errors import UserError

TRAIN = "EU B-ORG\nrejects O\nGerman B-MISC\ncall O\n\nPeter B-PER\nBlackburn I-PER\n\nBRUSSELS B-LOC\n1996 O\n"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read(path: Path, *, unlabelled: bool = False, **flags: Any) -> SentenceFile:
    return read_sentences(path, TaggingDataArguments(**flags), unlabelled=unlabelled)


def pairs(path: Path, **flags: Any) -> list[list[tuple[str, str]]]:
    """The words of each sentence with their tags."""
    return [list(zip(s.words, s.tags or (), strict=True)) for s in read(path, **flags).sentences]


def words(path: Path, **flags: Any) -> list[list[str]]:
    return [sentence.words for sentence in read(path, **flags).sentences]


def load(needs: tuple[str, ...] = ("train",), *, saved: Any = None, **flags: Any) -> TaggingData:
    return TaggingData.from_arguments(TaggingDataArguments(**flags), saved=saved, needs=needs)


def fails(path: Path, where: str | int, *parts: str, **flags: Any) -> None:
    """Reading the file must give a one-line message that begins with ``file:line`` and has all the parts."""
    with pytest.raises(UserError) as error:
        read(path, **flags)
    message_of(error.value, f"{path}:{where}" if isinstance(where, int) else f"{path}{where}", *parts)


def message_of(error: UserError, start: str, *parts: str) -> None:
    message = str(error)
    assert message.startswith(f"{start}: "), message
    assert "\n" not in message
    assert " – " in message, "the message lacks a remedy"
    for part in parts:
        assert part in message, message
