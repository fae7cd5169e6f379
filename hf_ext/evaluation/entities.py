"""Strict entity scores: a predicted entity is right if its type, its first word and its last word are.

What an entity is, is said in ``hf_ext.models.tag_schemes.entities``. Here the same reading is done with numpy on tag
ids, a batch of sentences at a time, and counted; sentences are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_ext.models.tag_schemes import OUTSIDE, SCHEMES, Entity, entities, read_tag

Metrics = dict[str, float]
_LETTER_CODES = {OUTSIDE: 0, "B": 1, "I": 2, "E": 3, "S": 4}


class Spans(NamedTuple):
    """Entities of many sentences, in order; three arrays of equal length.

    ``types`` are indices into ``SpanReader.types``; ``starts`` and ``ends`` (half-open) count the words of all
    sentences together.
    """

    types: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class SpanReader:
    """Read well-formed entities off tag ids, all sentences of a batch at once.

    Args:
        names: The K tags, in the order of their ids.
        scheme: One of ``SCHEMES``.

    Attributes:
        types: The types of the tags, sorted.

    Raises:
        ValueError: If a tag or the scheme is not known.
    """

    def __init__(self, names: Sequence[str], scheme: str) -> None:
        read = [read_tag(name, scheme) for name in names]
        self.types = tuple(sorted({type_ for letter, type_ in read if letter != OUTSIDE}))
        self.num_tags, self.scheme = len(read), _known(scheme)
        self._letters = np.array([_LETTER_CODES[letter] for letter, _ in read], dtype=np.int8)
        places = {type_: i for i, type_ in enumerate(self.types)}
        self._types = np.array([places.get(type_, -1) if letter != OUTSIDE else -1 for letter, type_ in read])

    def read(self, ids: NDArray[Any], sentence: NDArray[Any]) -> Spans:
        """Find the entities that ``hf_ext.models.tag_schemes.entities`` finds in each sentence.

        Args:
            ids: Tag ids of the words of all sentences, one sentence after the other, shape ``(W,)``.
            sentence: Number of the sentence of each word, shape ``(W,)``; neighbours differ where a sentence ends.
        """
        letters, types = self._letters[ids], self._types[ids]
        outside, first, inside, last, single = (letters == code for code in range(5))
        same = np.zeros(len(ids), dtype=bool)  # the word before is of the same type, and of the same sentence
        same[1:] = (types[1:] == types[:-1]) & (sentence[1:] == sentence[:-1]) & ~outside[1:]
        if self.scheme == "IO":
            heads, links = inside, same
        elif self.scheme == "IOB1":
            lost = first & ~same  # a B that separates nothing
            links = inside & same & ~_shifted(lost)
            heads = ~outside & ~lost
        else:  # a B or S is an entity's first word; links lead from B and I to I and E
            links = (inside | last) & same & _shifted(first | inside)
            heads = first | single
        starts = np.flatnonzero(~links)  # every word that continues nothing, whether it begins an entity or not
        ends = np.append(starts[1:], len(ids)) if len(ids) else starts
        good = heads[starts]
        if self.scheme not in ("IO", "IOB1", "BIO"):
            good &= single[starts] | last[ends - 1]
        return Spans(types[starts[good]], starts[good], ends[good])


class EntityCounts:
    """Count words, and by type the entities that are true, predicted, and both; memory does not grow with sentences.

    Args:
        scheme: One of ``SCHEMES``, of true and predicted tags alike.
        names: The tags by their ids; needed for ``add_ids`` only.

    Attributes:
        correct: Entities predicted as they are, by type.
        predicted: Entities predicted, by type.
        gold: True entities, by type.
        words: Words counted.
        words_right: Words whose predicted tag is the true one.
    """

    def __init__(self, scheme: str, names: Sequence[str] = ()) -> None:
        self.scheme = _known(scheme)
        self.correct: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.gold: Counter[str] = Counter()
        self.words = self.words_right = 0
        self._reader = SpanReader(names, scheme)

    def add(self, gold_tags: Sequence[str], predicted_tags: Sequence[str]) -> None:
        """Count one sentence; tags need not be among ``names``.

        Raises:
            ValueError: If the two differ in length, or a tag is not of the scheme.
        """
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(f"{len(predicted_tags)} predicted tags for {len(gold_tags)} true ones.")
        gold, predicted = set(entities(gold_tags, self.scheme)), set(entities(predicted_tags, self.scheme))
        for counts, found in ((self.gold, gold), (self.predicted, predicted), (self.correct, gold & predicted)):
            counts.update(_types_of(found))
        self.words += len(gold_tags)
        self.words_right += sum(a == b for a, b in zip(gold_tags, predicted_tags, strict=True))

    def add_ids(self, gold: NDArray[Any], predicted: NDArray[Any], sentence: NDArray[Any]) -> None:
        """Count many sentences at once, by tag ids.

        Args:
            gold: True tag ids of the words of all sentences, shape ``(W,)``.
            predicted: Predicted tag ids, shape ``(W,)``.
            sentence: Number of the sentence of each word, shape ``(W,)``; neighbours differ where a sentence ends.

        Raises:
            ValueError: If shapes differ or an id has no tag.
        """
        if not gold.shape == predicted.shape == sentence.shape or gold.ndim != 1:
            raise ValueError(f"shapes (W,) must be equal, got {gold.shape}, {predicted.shape} and {sentence.shape}.")
        for name, ids in (("true", gold), ("predicted", predicted)):
            if len(ids) and not 0 <= ids.min() <= ids.max() < self._reader.num_tags:
                wrong = ids[(ids < 0) | (ids >= self._reader.num_tags)][0]
                raise ValueError(f"{name} tag id {wrong} is none of the {self._reader.num_tags} tags.")
        true, guess = self._reader.read(gold, sentence), self._reader.read(predicted, sentence)
        type_at, end_at = np.full(len(gold), -1), np.full(len(gold), -1)
        type_at[true.starts], end_at[true.starts] = true.types, true.ends
        right = (type_at[guess.starts] == guess.types) & (end_at[guess.starts] == guess.ends)
        for counts, types in (
            (self.gold, true.types),
            (self.predicted, guess.types),
            (self.correct, guess.types[right]),
        ):
            numbers = np.bincount(types, minlength=len(self._reader.types)).tolist()
            counts.update({name: n for name, n in zip(self._reader.types, numbers, strict=True) if n})
        self.words += len(gold)
        self.words_right += int((gold == predicted).sum())

    def types(self) -> list[str]:
        """Name the types that occur among true or predicted entities, sorted."""
        return sorted(self.gold.keys() | self.predicted.keys())

    def scores_of(self, types: Iterable[str]) -> Metrics:
        """Give precision, recall and F1 of the entities of some types together; 0.0 where a figure is not defined."""
        chosen = list(types)
        correct, predicted, gold = (
            sum(counts[name] for name in chosen) for counts in (self.correct, self.predicted, self.gold)
        )
        return {
            "precision": _ratio(correct, predicted),
            "recall": _ratio(correct, gold),
            "f1": _ratio(2 * correct, predicted + gold),
        }

    def scores(self, *, entity_level: bool = False) -> Metrics:
        """Give the figures of everything counted, as plain floats, never NaN.

        Args:
            entity_level: Add ``<type>_precision``, ``<type>_recall``, ``<type>_f1`` and ``<type>_number`` (true
                entities), as the official script names them; the empty type is called ``_``.

        Returns:
            ``precision``, ``recall`` and ``f1`` over all entities (micro), ``accuracy`` over words, ``f1_macro`` (mean
            over the types that are true or predicted somewhere) and ``f1_weighted`` (weighted by true entities). 0.0
            where a figure is not defined: without any entity precision, recall and F1 are 0.0, not 1.0 and not NaN.
        """
        types = self.types()
        by_type = {name: self.scores_of([name]) for name in types}
        weighted = sum(by_type[name]["f1"] * self.gold[name] for name in types)
        result = {
            **self.scores_of(types),
            "accuracy": _ratio(self.words_right, self.words),
            "f1_macro": _ratio(sum(row["f1"] for row in by_type.values()), len(types)),
            "f1_weighted": _ratio(weighted, self.gold.total()),
        }
        if entity_level:
            for name in types:
                for figure, value in {**by_type[name], "number": float(self.gold[name])}.items():
                    result[f"{name or '_'}_{figure}"] = value
        return result


def _types_of(found: Iterable[Entity]) -> list[str]:
    return [entity.type for entity in found]


def _shifted(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give each word what the word before it has."""
    moved = np.zeros_like(marks)
    moved[1:] = marks[:-1]
    return moved


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _known(scheme: str) -> str:
    if scheme not in SCHEMES:
        raise ValueError(f"tag scheme {scheme!r} is not known; there are {', '.join(SCHEMES)}.")
    return scheme
