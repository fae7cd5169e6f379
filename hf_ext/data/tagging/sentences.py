"""Sentences of words with their tags, and where they stand in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Span = tuple[int, int]


@dataclass
class Sentence:
    """One sentence: what is tagged, and scored, as a whole.

    Args:
        words: Its words, exactly as written; a word may be blank or empty.
        tags: One tag a word; None where the file has none.
        lines: The line (or row) of each word, counted from 1; of an empty sentence, its own.
        label: The label of the whole sentence, where there is one.
        id: Its name in the file, where it has one.
        text: The text that it was cut from, where the input was text.
        spans: ``(start, end)`` of each word in ``text``, in characters, half-open.
        scored: Whether it can be compared with a prediction; False where it holds tags that the model lacks.
    """

    words: list[str]
    tags: list[str] | None
    lines: Sequence[int]
    label: str | None = None
    id: str | None = None
    text: str | None = None
    spans: list[Span] | None = None
    scored: bool = True

    def line(self, word: int = 0) -> int:
        """Give the line of a word."""
        return self.lines[min(word, len(self.lines) - 1)]


@dataclass
class SentenceFile:
    """The sentences of one file.

    Args:
        sentences: In the order of the file.
        source: The file as the user named it, for messages.
        level: How text was cut into words (``word`` or ``character``); None where the file gives words.
        tokens_column: Name or number of the column of words; None where there is only one.
        tags_column: Name or number of the column of tags; None without tags.
        sentence_label_column: Name of the column of sentence labels; None without.
        scheme: The scheme of the tags where the reader has written them itself (from spans).
        notes: What a reader of the log should know, one sentence each.
    """

    sentences: list[Sentence]
    source: str
    level: str | None = None
    tokens_column: str | None = None
    tags_column: str | None = None
    sentence_label_column: str | None = None
    scheme: str | None = None
    notes: list[str] = field(default_factory=list)

    def place(self, sentence: int, word: int = 0) -> str:
        """Give ``file:line`` of a word."""
        return f"{self.source}:{self.sentences[sentence].line(word)}"
