"""Documents as token ids, each with one bit that says whether a word begins there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import datasets
import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from hf_ext.data.features import describe_tokenizer
from hf_ext.data.pretraining.segmenters import Segmenter, is_chinese, load_segmenter
from hf_ext.data.pretraining.sentences import find_sentences
from hf_ext.errors import UserError

FORMAT_VERSION = 1  # raise it when the tokens of the same documents change
CHUNK = 250_000  # characters tokenised at a time


@dataclass
class TokenEncoder:
    """Turn a batch of documents into tokens; what ``datasets.map`` calls.

    Token ids and word starts share one column of numbers, ``marked_ids``: ``2 * id + 1`` where a word begins, else
    ``2 * id``. They are read from disk as they are needed and so cost no memory.

    Args:
        tokenizer: A fast tokenizer of transformers.
        corpus_key: A hash of all that decides the documents.
        segmenter: What finds the words of Chinese documents, a name of ``SEGMENTERS``; None, and every other document,
            takes the tokenizer's words, of which each Chinese character is one in most.
        sentences: Whether to count the tokens of each sentence too.
    """

    tokenizer: PreTrainedTokenizerBase
    corpus_key: str
    segmenter: str | None = None
    sentences: bool = False

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise UserError(
                f"{type(self.tokenizer).__name__} is a slow tokenizer, which cannot tell words from tokens",
                fix="use a model with a fast tokenizer (tokenizer.json)",
            )

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Encode documents.

        Returns:
            ``marked_ids`` without special tokens around the document, and ``sentence_lengths`` (tokens) if asked for.
        """
        made: dict[str, list[Any]] = {name: [] for name in self.features({})}
        for texts in _in_chunks(batch["text"]):
            encoded = self.tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)
            for text, encoding in zip(texts, encoded.encodings or (), strict=True):
                ids = np.asarray(encoding.ids, dtype=np.int32)
                made["marked_ids"].append(ids * 2 + self.word_starts(text, encoding))
                if self.sentences:
                    made["sentence_lengths"].append(_sentence_lengths(text, encoding))
        return made

    def features(self, first_row: Mapping[str, Any]) -> datasets.Features:
        """Give the types of the result, which no row decides."""
        numbers = datasets.List(datasets.Value("int32"))
        return datasets.Features({"marked_ids": numbers} | ({"sentence_lengths": numbers} if self.sentences else {}))

    def cache_key(self, rows: datasets.Dataset) -> str:
        """Give a sha256 over everything that the tokens depend on."""
        state = [FORMAT_VERSION, self.corpus_key, self.segmenter, self.sentences]
        digest = hashlib.sha256(json.dumps(state).encode())
        digest.update(describe_tokenizer(self.tokenizer))
        return digest.hexdigest()

    def word_starts(self, text: str, encoding: Encoding) -> np.ndarray:
        """Tell at which tokens of a text a word begins, shape ``(T,)`` of bool; at the first token always.

        A token that holds the end of one word and the beginning of the next begins the first one; what remains of the
        next goes on with it. So words are never finer than tokens.
        """
        if self.segmenter is not None and is_chinese(text):
            return self._segmented_starts(text, encoding)
        words = encoding.word_ids
        starts = np.ones(len(words), dtype=bool)
        starts[1:] = [word is None or word != before for before, word in pairwise(words)]
        return starts

    def _segmented_starts(self, text: str, encoding: Encoding) -> np.ndarray:
        begins = np.zeros(len(text) + 1, dtype=bool)  # whether a word begins at this character
        lengths = [len(word) for word in self._segment(text)]
        begins[np.cumsum(lengths)] = True
        begins[0] = True
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        first, end = offsets[:, 0], offsets[:, 1]
        starts = begins[first]
        starts[1:] &= first[1:] >= end[:-1]  # further bytes of one character are no new beginning
        starts[:1] = True
        return starts

    @cached_property
    def _segment(self) -> Segmenter:
        return load_segmenter(str(self.segmenter))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the segmenter out, which a worker process loads itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_segment"}


def _sentence_lengths(text: str, encoding: Encoding) -> np.ndarray:
    """Count the tokens that begin in each sentence; sentences without any are left out."""
    begins = [start for start, _ in find_sentences(text)]
    firsts = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)[:, 0]
    places = np.searchsorted(firsts, [*begins[1:], len(text) + 1])
    lengths = np.diff(places, prepend=0).astype(np.int32)
    return lengths[lengths > 0]


def _in_chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Give the texts in lists of at most ``CHUNK`` characters, so that few are held as tokens at a time."""
    held: list[str] = []
    size = 0
    for text in texts:
        if held and size + len(text) > CHUNK:
            yield held
            held, size = [], 0
        held.append(text)
        size += len(text)
    if held:
        yield held
