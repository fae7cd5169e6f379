"""How much of a text is Han script: what a splitter and a baseline must know before they start."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

HAN_SHARE = 0.3  # of the letters; Chinese text with Latin names stays well above it
SAMPLE_SIZE = 2000  # texts looked at


def han_share(texts: Iterable[str]) -> float:
    """Tell which part of the letters in ``texts`` are Han characters, between 0 and 1 (0 without letters)."""
    letters = han = 0
    for text in texts:
        for character in text:
            if character.isalpha():
                letters += 1
                han += "\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U0003ffff"
    return han / letters if letters else 0.0


def han_prevails(texts: Iterable[str]) -> bool:
    """Tell whether the first texts are best split into characters, as Chinese is."""
    return han_share(islice(texts, SAMPLE_SIZE)) > HAN_SHARE
