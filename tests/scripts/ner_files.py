"""Toy sentences whose tags follow from the words, as files of the kinds that run_ner.py reads."""

from __future__ import annotations

import json
from pathlib import Path

NER_EXAMPLES = ("ner_demo", "resume_bilstm_crf", "resume_encoder_crf", "snips_joint", "wikigold", "wnut17")

PEOPLE = (("Ann", "Lee"), ("Bob",), ("Carla", "de", "Wit"), ("Dan",))
PLACES = (("New", "York"), ("Oslo",), ("Rome",))
MAKERS = (("Acme", "Corp"), ("Initech",))
WORK = ("works at", "leads", "left")
CHINESE = {"PER": ("王小明", "李雷", "韩梅"), "LOC": ("北京", "上海", "成都市"), "ORG": ("新华社", "长江集团")}

Sentence = tuple[list[str], list[str], str]  # words, tags, label


def english(count: int, *, offset: int = 0) -> list[Sentence]:
    """Sentences of words with BIO tags; the label says whether someone moves or works."""
    made = []
    for i in range(offset, offset + count):
        moves = i % 2 == 0
        parts: list[tuple[tuple[str, ...], str | None]] = [(PEOPLE[i % 4], "PER")]
        if moves:
            parts += [(("moves", "to"), None), (PLACES[i % 3], "LOC")]
        else:
            parts += [(tuple(WORK[i % 3].split()), None), (MAKERS[i // 2 % 2], "ORG")]
        if i % 5 == 0:
            parts += [(("in", "May"), None)]
        parts.append(((".",), None))
        made.append((*join(parts), "move" if moves else "work"))
    return made


def chinese(count: int, *, offset: int = 0) -> list[Sentence]:
    """Sentences of characters with BIO tags."""
    made = []
    for i in range(offset, offset + count):
        person, place, maker = (CHINESE[kind][i % len(CHINESE[kind])] for kind in ("PER", "LOC", "ORG"))
        parts = [(tuple(person), "PER"), (("在",), None), (tuple(place), "LOC")]
        parts += [(("的",), None), (tuple(maker), "ORG")] if i % 2 else []
        parts += [(tuple("工作" if i % 3 else "学习"), None), (("。",), None)]
        made.append((*join(parts), ""))
    return made


def join(parts) -> tuple[list[str], list[str]]:
    words, tags = [], []
    for names, kind in parts:
        words += names
        tags += ["O"] * len(names) if kind is None else [f"{'I' if j else 'B'}-{kind}" for j in range(len(names))]
    return words, tags


def write_columns(path: Path, sentences: list[Sentence], *, tagged: bool = True, between: str = "\t") -> str:
    """Write a word and its tag a line, a blank line between sentences."""
    blocks = (
        "".join(f"{word}{between}{tag}\n" if tagged else f"{word}\n" for word, tag in zip(words, tags, strict=True))
        for words, tags, _ in sentences
    )
    path.write_text("\n".join(blocks), encoding="utf-8")
    return str(path)


def write_folder(path: Path, sentences: list[Sentence]) -> str:
    """Write a folder with seq.in, seq.out and label."""
    path.mkdir(parents=True)
    columns = {
        "seq.in": [" ".join(words) for words, _, _ in sentences],
        "seq.out": [" ".join(tags) for _, tags, _ in sentences],
        "label": [label for _, _, label in sentences],
    }
    for name, lines in columns.items():
        (path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def write_json_lines(path: Path, sentences: list[Sentence], *, tagged: bool = True) -> str:
    """Write one object a line, with tokens and, if tagged, ner_tags."""
    rows = [{"tokens": words} | ({"ner_tags": tags} if tagged else {}) for words, tags, _ in sentences]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)
