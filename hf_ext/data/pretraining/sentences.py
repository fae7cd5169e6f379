"""Where sentences end: marks of Chinese and Latin script, and line ends."""

from __future__ import annotations

import re

# Chinese marks end a sentence by themselves; a full stop only before a blank (not in 3.14), not after one letter (J.)
_CLOSING = "”’」』）)】》\"'"
_END = re.compile(rf"[。！？!?…；．][。！？!?…；．]*[{_CLOSING}]*|(?<!\b[A-Za-z])\.+[{_CLOSING}]*(?=\s)|[^\S\n]*\n\s*")


def find_sentences(text: str) -> list[tuple[int, int]]:
    """Cut a text into sentences.

    A sentence ends behind ``。！？；…`` or ``! ?``, behind a full stop that a blank follows, with the quotation marks
    and brackets that close there, and at a line end. Abbreviations of several letters (``etc. and``) end one too.

    Returns:
        ``(start, end)`` of each; together they are the whole text, blanks included. None for an empty text.
    """
    spans, start = [], 0
    for match in _END.finditer(text):
        if text[start : match.end()].strip():
            spans.append((start, match.end()))
            start = match.end()
    if text[start:].strip() or (start < len(text) and not spans):
        spans.append((start, len(text)))
    elif spans:
        spans[-1] = (spans[-1][0], len(text))
    return spans
