"""Text as words that know where they stand in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from hf_ext.data.tagging.sentences import Span
from hf_ext.han import han_prevails

RUN_CATEGORIES = "LMN"  # letters, the marks that sit on them, and digits


def choose_level(texts: Iterable[str]) -> str:
    """Tell whether texts are best tagged character by character, as Chinese is, or word by word."""
    return "character" if han_prevails(texts) else "word"


def cut_text(text: str, level: str) -> list[Span]:
    """Find the words of a text.

    At the level ``character`` every character but white space is a word. At ``word`` runs of letters, digits and
    underscores are, and every other character that is not white space by itself: ``Paris-based`` is three words, so
    that an entity can end before the hyphen.

    Returns:
        ``(start, end)`` of each word, in characters, half-open.
    """
    spans: list[Span] = []
    before = False  # whether the character before belongs to a run
    for i, character in enumerate(text):
        in_run = level == "word" and (character == "_" or unicodedata.category(character)[0] in RUN_CATEGORIES)
        if in_run and before:
            spans[-1] = (spans[-1][0], i + 1)
        elif not character.isspace():
            spans.append((i, i + 1))
        before = in_run
    return spans
