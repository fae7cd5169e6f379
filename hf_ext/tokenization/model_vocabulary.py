"""New tokens in the vocabulary of a tokenizer's own model: WordPiece, BPE, Unigram, WordLevel."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer

TIE_BREAK = 1e-4  # nats by which a new Unigram piece beats the pieces that it replaces
UNKNOWN_PENALTY = 10.0  # nats below the rarest piece: what tokenizers gives an unknown character


class ModelVocabulary:
    """The vocabulary of one tokenizer's model, open to new tokens until ``commit``.

    New ids follow all ids there are, those of added tokens too. A subclass knows one kind of model.

    Args:
        backend: The tokenizer (of the library tokenizers); unchanged until ``commit``.
    """

    def __init__(self, backend: Tokenizer) -> None:
        self.backend = backend
        self.written = json.loads(backend.to_str())
        self.model: dict[str, Any] = self.written["model"]
        known = backend.get_vocab(with_added_tokens=True)
        self.old_size = max(known.values(), default=-1) + 1
        self.next_id = self.old_size
        self.by_id = {i: token for token, i in known.items()}

    def add(self, form: str) -> dict[str, list[int]] | None:
        """Take in one token as the vocabulary spells it.

        Args:
            form: What stands between two cuts of the pre-tokenizer, e.g. ``Ġblockchain``; in WordPiece
                also ``##chain``.

        Returns:
            Each token that became new, with the old ids that stood in its place; empty if the model has the token
            already; None if this model cannot reach the token.
        """
        raise NotImplementedError

    def commit(self) -> None:
        """Put the new vocabulary into the tokenizer."""
        rebuilt = Tokenizer.from_str(json.dumps({**self.written, "model": self.model, "added_tokens": []}))
        self.backend.model = rebuilt.model

    def pieces(self, form: str) -> list[int]:
        """Give the ids as which the old model reads a form."""
        return [token.id for token in self.backend.model.tokenize(form)] if form else []

    def _take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1


class TableVocabulary(ModelVocabulary):
    """A model whose vocabulary is a table of token and id (WordLevel; the base of WordPiece and BPE)."""

    def __init__(self, backend: Tokenizer) -> None:
        super().__init__(backend)
        self.table: dict[str, int] = self.model["vocab"]
        for i, token in self.by_id.items():  # ids of added tokens must not be given to anything else
            self.table.setdefault(token, i)

    def add(self, form: str) -> dict[str, list[int]] | None:
        """Take in a whole word, which stood for an unknown one."""
        if form in self.table:
            return {}
        pieces = self.pieces(form)
        self.table[form] = self._take_id()
        return {form: pieces}


class WordPieceVocabulary(TableVocabulary):
    """WordPiece: the longest token that fits is taken, so that a new word also serves as the start of longer ones."""

    def add(self, form: str) -> dict[str, list[int]] | None:
        """Take in the start of a word, or a continuation with its prefix."""
        if form in self.table:
            return {}
        prefix = self.model["continuing_subword_prefix"]
        if len(form.removeprefix(prefix)) > self.model["max_input_chars_per_word"]:
            return None
        pieces = self._cut(form)
        self.table[form] = self._take_id()
        return {form: pieces}

    def _cut(self, form: str) -> list[int]:
        """Cut a form by the old vocabulary, from the left, longest first; the model itself knows no continuations."""
        prefix, unknown = self.model["continuing_subword_prefix"], self.model["unk_token"]
        inside = form.startswith(prefix) and len(form) > len(prefix)
        text = form.removeprefix(prefix) if inside else form
        found: list[int] = []
        start = 0
        while start < len(text):
            lead = prefix if inside or start else ""
            ends = range(len(text), start, -1)
            end = next((end for end in ends if self._old_id(lead + text[start:end]) is not None), None)
            if end is None:
                return [self.table[unknown]] if unknown in self.table else []
            found.append(self.table[lead + text[start:end]])
            start = end
        return found

    def _old_id(self, token: str) -> int | None:
        i = self.table.get(token)
        return i if i is not None and i < self.old_size else None


class BPEVocabulary(TableVocabulary):
    """BPE: merges of the lowest rank, from the pieces of a word to the whole.

    No old merge contains a new token, so a new merge acts only where all old ones have done their work: every text
    is read as before but for the new tokens, each of which stands where its pieces stood. A word of n pieces makes
    n - 1 new tokens, fewer where another new word begins alike.
    """

    def __init__(self, backend: Tokenizer) -> None:
        super().__init__(backend)
        self.prefix: str = self.model.get("continuing_subword_prefix") or ""
        self.ranks: dict[tuple[str, str], int] = {}  # the new merges alone
        self.replaced: dict[str, list[int]] = {}  # a new token's old ids

    def add(self, form: str) -> dict[str, list[int]] | None:
        """Take in a word with the merges that lead to it."""
        values = [token.value for token in self.backend.model.tokenize(form)] if form else []
        if not values or self._join(values) not in (form, form + (self.model.get("end_of_word_suffix") or "")):
            return None  # unknown characters or bytes in their place
        parts = self._merge(values)
        new: dict[str, list[int]] = {}
        left = parts[0]
        for right in parts[1:]:
            joined = self._join([left, right])
            self.ranks[left, right] = len(self.ranks)
            self.model["merges"].append([left, right])
            if joined not in self.table:
                self.table[joined] = self._take_id()
                self.replaced[joined] = new[joined] = self._ids(left) + self._ids(right)
            left = joined
        return new

    def _merge(self, parts: list[str]) -> list[str]:
        """Apply the new merges as the model will: the lowest rank first, from the left."""
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(range(len(pairs)), key=lambda i: (self.ranks.get(pairs[i], len(self.ranks)), i))
            if pairs[best] not in self.ranks:
                break
            parts = [*parts[:best], self._join(parts[best : best + 2]), *parts[best + 2 :]]
        return parts

    def _join(self, parts: list[str]) -> str:
        return parts[0] + "".join(part.removeprefix(self.prefix) for part in parts[1:])

    def _ids(self, token: str) -> list[int]:
        return self.replaced.get(token) or [self.table[token]]


class UnigramVocabulary(ModelVocabulary):
    """Unigram: a new piece is as likely as the pieces in its place, and a hair more.

    So it wins exactly where they won: every text is read as before but for the new pieces.
    """

    def __init__(self, backend: Tokenizer) -> None:
        super().__init__(backend)
        self.entries: list[list[Any]] = self.model["vocab"]  # token and score (nats), by id
        self.lowest = min(score for _, score in self.entries)
        self.known = {token for token, _ in self.entries}
        for i in range(len(self.entries), self.old_size):  # ids are positions: added tokens need theirs
            self._append(self.by_id.get(i, f"<gap_{i}>"), self.lowest - UNKNOWN_PENALTY)

    def add(self, form: str) -> dict[str, list[int]] | None:
        """Take in one piece."""
        if form in self.known:
            return {}
        pieces = self.pieces(form)
        if not pieces:
            return None
        unknown = self.model.get("unk_id") in pieces or any(self._is_byte(i) for i in pieces)
        score = self.lowest if unknown else sum(self.entries[i][1] for i in pieces) + TIE_BREAK
        self._append(form, score)
        self._take_id()
        return {form: pieces}

    def _append(self, token: str, score: float) -> None:
        self.entries.append([token, score])
        self.known.add(token)

    def _is_byte(self, i: int) -> bool:
        token = self.entries[i][0]
        return bool(self.model.get("byte_fallback")) and token.startswith("<0x") and token.endswith(">")


def open_vocabulary(backend: Tokenizer) -> ModelVocabulary:
    """Open the vocabulary of a tokenizer for new tokens.

    Raises:
        ValueError: If its model is of an unknown kind.
    """
    kind = json.loads(backend.to_str())["model"].get("type")
    if kind not in MODEL_VOCABULARIES:
        raise ValueError(f"the tokenizer's model is {kind!r}, expected one of {', '.join(MODEL_VOCABULARIES)}.")
    return MODEL_VOCABULARIES[kind](backend)


MODEL_VOCABULARIES: dict[str, type[ModelVocabulary]] = {
    "BPE": BPEVocabulary,
    "Unigram": UnigramVocabulary,
    "WordLevel": TableVocabulary,
    "WordPiece": WordPieceVocabulary,
}
