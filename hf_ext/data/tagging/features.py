"""Sentences as windows of token ids, with the places of their words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from hf_ext.data.features import describe_tokenizer
from hf_ext.data.special_tokens import Frame, find_frame
from hf_ext.data.tagging.windows import Window, plan_windows
from hf_ext.errors import UserError
from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.models.tagging_schema import UNKNOWN_CHARACTER, TaggingSchema

FORMAT_VERSION = 1  # raise it when the features of the same sentences change
CUT_COLUMN, REPLACED_COLUMN = "_cut", "_replaced"  # counts of words, kept in the cache so that notes can be repeated
LONGEST_WORD = 32  # characters that a character encoder sees of a word


@dataclass
class TaggingEncoder:
    """Turn a batch of sentences into windows; what ``datasets.map`` calls.

    Args:
        tokenizer: A fast tokenizer of transformers.
        schema: Tags, sentence labels and characters.
        max_length: Longest window in tokens, special tokens included.
        overlap: Tokens that neighbouring windows share at most.
        labelled: Whether tags (and sentence labels) become labels.
        all_tokens: Whether the further tokens of a word are labelled too, with the tag that goes on inside of a type.
    """

    tokenizer: PreTrainedTokenizerBase
    schema: TaggingSchema
    max_length: int
    overlap: int
    labelled: bool = True
    all_tokens: bool = False

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise UserError(
                f"{type(self.tokenizer).__name__} is a slow tokenizer, which cannot tell words from tokens",
                fix="use a model with a fast tokenizer (tokenizer.json)",
            )
        if self.capacity < 1:
            raise UserError(
                f"--max_seq_length {self.max_length} leaves no room beside {len(self.frame)} special tokens",
                fix="choose a larger one",
            )
        if self.overlap >= self.capacity > 1:
            raise UserError(
                f"--window_overlap {self.overlap} leaves no room in windows of {self.capacity} tokens",
                fix="choose a smaller one",
            )

    @cached_property
    def frame(self) -> Frame:
        """The special tokens that the tokenizer puts around a sequence, found by trying."""
        return find_frame(self.tokenizer)

    @property
    def capacity(self) -> int:
        """Tokens that fit into a window beside the special ones."""
        return self.max_length - len(self.frame)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Encode columns of sentences; the result has a row for each window, none for a sentence without words.

        Returns:
            The tokenizer's inputs; ``word_mask`` (1 at the first token of each word); ``labels`` (the tag id there if
            the window owns the word, else -100), ``sentence_labels`` (-100 but for the first window of a sentence) and
            ``char_ids`` where asked for; ``sentence``, ``word_starts`` (places of the words, counted from the first
            token without padding), ``first_word``, ``owned_first``, ``owned_end``; and two counts for notes.
        """
        made: dict[str, list[Any]] = {name: [] for name in self.features({})}
        rows = [dict(zip(batch, cells, strict=True)) for cells in zip(*batch.values(), strict=True)]
        rows = [row for row in rows if row["words"]]
        for row, pieces in zip(rows, self._split([row["words"] for row in rows]), strict=True):
            replaced = [not tokens for tokens in pieces]
            cut = [len(tokens) > self.capacity for tokens in pieces]
            pieces = [tokens[: self.capacity] or [self._substitute] for tokens in pieces]
            for window in plan_windows([len(tokens) for tokens in pieces], self.capacity, self.overlap):
                encoded = self._encode(row, pieces, window)
                owned = slice(window.owned_first, window.owned_end)
                encoded |= {CUT_COLUMN: sum(cut[owned]), REPLACED_COLUMN: sum(replaced[owned])}
                for name, values in made.items():
                    values.append(encoded[name])
        return made

    def features(self, first_row: Mapping[str, Any]) -> datasets.Features:
        """Give the types of the result, which no row decides."""
        small, number = datasets.Value("int8"), datasets.Value("int32")
        types: dict[str, Any] = {"input_ids": datasets.List(number), "attention_mask": datasets.List(small)}
        if self.frame.types is not None:
            types["token_type_ids"] = datasets.List(small)
        types["word_mask"] = datasets.List(small)
        if self.labelled:
            types["labels"] = datasets.List(number)
            if self.schema.sentence_labels:
                types["sentence_labels"] = number
        if self.schema.characters:
            types["char_ids"] = datasets.List(datasets.List(number))
        types |= {"sentence": number, "word_starts": datasets.List(number)}
        names = ("first_word", "owned_first", "owned_end", CUT_COLUMN, REPLACED_COLUMN)
        return datasets.Features(types | dict.fromkeys(names, number))

    def cache_key(self, rows: datasets.Dataset) -> str:
        """Give a sha256 over everything that the features depend on."""
        state = {
            "format": FORMAT_VERSION,
            "schema": asdict(self.schema),
            "lengths": [self.max_length, self.overlap],
            "labels": [self.labelled, self.all_tokens],
        }
        digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
        digest.update(describe_tokenizer(self.tokenizer))
        for batch in rows.iter(batch_size=1000):
            digest.update(json.dumps(batch, sort_keys=True).encode())
        return digest.hexdigest()

    @cached_property
    def _substitute(self) -> int:
        for name in ("unk_token_id", "mask_token_id"):
            found = getattr(self.tokenizer, name, None)
            if found is not None:
                return int(found)
        raise UserError(
            "this tokenizer gives no token for some words, and has neither an unknown nor a mask token",
            fix="use another model",
        )

    @cached_property
    def _tag_ids(self) -> dict[str, int]:
        return self.schema.tag_ids

    @cached_property
    def _character_ids(self) -> dict[str, int]:
        return self.schema.character_ids

    def _split(self, sentences: list[list[str]]) -> list[list[list[int]]]:
        """Give the token ids of each word of each sentence, without special tokens."""
        if not sentences:
            return []
        encoded = self.tokenizer(
            sentences, is_split_into_words=True, add_special_tokens=False, truncation=False, verbose=False
        )
        result: list[list[list[int]]] = []
        for i, words in enumerate(sentences):
            pieces: list[list[int]] = [[] for _ in words]
            for token, word in zip(encoded["input_ids"][i], encoded.word_ids(i), strict=True):
                if word is not None:
                    pieces[word].append(token)
            result.append(pieces)
        return result

    def _encode(self, row: Mapping[str, Any], pieces: list[list[int]], window: Window) -> dict[str, Any]:
        inside = pieces[window.first : window.end]
        before, after = self.frame.before, self.frame.after
        starts, ids = [], list(before)
        for tokens in inside:
            starts.append(len(ids))
            ids += tokens
        length = len(ids) - len(before)
        ids += after
        mask = [0] * len(ids)
        for start in starts:
            mask[start] = 1
        encoded: dict[str, Any] = {"input_ids": ids, "attention_mask": [1] * len(ids), "word_mask": mask}
        if self.frame.types is not None:
            front, middle, back = self.frame.types
            encoded["token_type_ids"] = [*front, *[middle] * length, *back]
        if self.labelled:
            encoded["labels"] = self._label(row["tags"], inside, starts, window, len(ids))
            if self.schema.sentence_labels:
                first = window.first == 0
                encoded["sentence_labels"] = self.schema.sentence_label_ids[row["label"]] if first else IGNORED_LABEL
        if self.schema.characters:
            words = row["words"][window.first : window.end]
            encoded["char_ids"] = [[self._character(c) for c in word[:LONGEST_WORD]] for word in words]
        places = {"sentence": row["sentence"], "word_starts": starts, "first_word": window.first}
        return encoded | places | {"owned_first": window.owned_first, "owned_end": window.owned_end}

    def _label(
        self, tags: Sequence[str], inside: Sequence[Sequence[int]], starts: Sequence[int], window: Window, length: int
    ) -> list[int]:
        labels = [IGNORED_LABEL] * length
        for i in range(window.owned_first, window.owned_end):
            start = starts[i - window.first]
            labels[start] = self._tag_ids[tags[i]]
            if self.all_tokens:
                further = len(inside[i - window.first]) - 1
                labels[start + 1 : start + 1 + further] = [self._inside_id(tags[i])] * further
        return labels

    def _inside_id(self, tag: str) -> int:
        """Give the tag of a word that goes on what this tag has begun: I (or M) for B, else the tag itself."""
        inside = (letter + tag[1:] for letter in "IM") if tag[:1] == "B" and tag[1:2] in ("-", "_", "") else ()
        return next((self._tag_ids[name] for name in inside if name in self._tag_ids), self._tag_ids[tag])

    def _character(self, character: str) -> int:
        return self._character_ids.get(character, UNKNOWN_CHARACTER)
