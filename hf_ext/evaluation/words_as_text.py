"""Words as the text that they were: with blanks between them, but none beside Chinese characters."""

from __future__ import annotations

from collections.abc import Sequence

from hf_ext.han import han_share


def join_words(words: Sequence[str], level: str) -> str:
    """Join words.

    Args:
        words: The words.
        level: ``character`` puts nothing between them, ``word`` blanks, but for the side of a Chinese character.
    """
    if level == "character":
        return "".join(words)
    text = ""
    for word in words:
        blank = text and word and not han_share(text[-1]) and not han_share(word[0])
        text += f" {word}" if blank else word
    return text


def place_words(words: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Find where words stand that ``join_words`` has joined.

    Returns:
        ``(start, end)`` of each word in ``text``, in characters, half-open.

    Raises:
        ValueError: If the text does not hold the words in this order.
    """
    spans, end = [], 0
    for word in words:
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return spans
