"""Predicted tags as files: for the official scripts, for programs, for conlleval, and for reading mistakes.

Entities are read as strictly as they are scored (``hf_ext.models.tag_schemes.entities``), so that files and figures
agree: an I-PER that a softmax puts behind O is a tag in the files, but no entity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hf_ext.evaluation.csv_tables import csv_table
from hf_ext.evaluation.decisions import softmax
from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.entity_errors import EntityError, find_errors
from hf_ext.evaluation.reports import write_atomically
from hf_ext.evaluation.words_as_text import join_words
from hf_ext.models.tag_schemes import Entity, entities
from hf_ext.models.tagging_schema import TaggingSchema

REPORT_FILE, ERROR_FILE = "entity_report.csv", "entity_errors.csv"
TextSpans = tuple[str, Sequence[tuple[int, int]]]
CONTEXT_WORDS = 10  # on either side
REPORT_COLUMNS = ("type", "precision", "recall", "f1", "gold", "predicted", "correct")
ERROR_COLUMNS = (
    *("id", "kind", "gold_type", "gold_text", "gold_start", "gold_end"),
    *("predicted_type", "predicted_text", "predicted_start", "predicted_end", "confidence", "context"),
)


def write_tag_predictions(
    folder: str | Path,
    *,
    schema: TaggingSchema,
    words: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str] | None] | None = None,
    ids: Sequence[Any] | None = None,
    tag_probabilities: Sequence[Sequence[float]] | None = None,
    chain_probabilities: Sequence[Sequence[float]] | None = None,
    spans: Sequence[TextSpans | None] | None = None,
    sentence_labels: Sequence[str | None] | None = None,
    sentence_logits: ArrayLike | None = None,
) -> list[Path]:
    """Write tags and entities of N sentences, in input order, one value for every word.

    - ``predictions.txt``: the tags with blanks between them, a line a sentence, as the official script.
    - ``predictions.jsonl``: ``id``, ``words``, ``tags``, ``entities`` (``type``, ``start`` and ``end`` in words,
      half-open, ``text``; with probabilities ``confidence``; where the text is known ``start_char`` and ``end_char``);
      of a joint model ``sentence_label`` and ``sentence_probability``, null for a sentence without words, of which it
      has seen nothing, and ``gold_sentence_label`` where it is known.
    - ``predictions.conll``: word, true tag, predicted tag, with a blank between them; an empty line behind each
      sentence. Without any true tags the column is missing; a sentence that alone has none gets ``-``.
    - ``entity_report.csv``, ``entity_errors.csv``: only with true tags, over the sentences that have them: the figures
      of each type and of all (``total``); and each mistake (see ``find_errors``) with the words around it. Both begin
      with a byte order mark, and no cell starts a formula. Without true tags those of an earlier run are removed.

    In the two files whose columns stand between blanks, white space in a word or a tag is written ``_``.

    The confidence of an entity is the probability of its tags as a whole, ``P(y_s, ..., y_e)``: of a chain (CRF) that
    of the first times those of the others, each given the one before; of a softmax the product.

    Args:
        folder: Output folder, made when missing.
        schema: Its scheme, level and sentence labels are used.
        words: The words of each sentence.
        predicted: The predicted tags of each sentence.
        gold: The true tags of each sentence, None where there are none.
        ids: The id of each sentence; its number from 0 if missing.
        tag_probabilities: Of each word, the probability of its predicted tag.
        chain_probabilities: Of each word, the same given the tag before; ``tag_probabilities`` if missing.
        spans: The text of each sentence and ``(start, end)`` of each word in it; None where only words are known.
        sentence_labels: The true label of each sentence, None where there is none.
        sentence_logits: Scores of the sentence labels, shape ``(N, S)``.

    Returns:
        The written files.

    Raises:
        ValueError: If lengths do not fit.
    """
    chain = tag_probabilities if chain_probabilities is None else chain_probabilities
    sentences = _sentences(
        schema, words=words, predicted=predicted, gold=gold, ids=ids, tag=tag_probabilities, chain=chain, spans=spans
    )
    answers = _sentence_answers(schema, words, sentence_labels, sentence_logits)
    scored = [sentence for sentence in sentences if sentence.gold is not None]
    contents = {
        "predictions.txt": "".join(" ".join(map(_solid, sentence.tags)) + "\n" for sentence in sentences),
        "predictions.jsonl": "".join(
            json.dumps({**sentence.as_json(), **answer}, ensure_ascii=False) + "\n"
            for sentence, answer in zip(sentences, answers, strict=True)
        ),
        "predictions.conll": "".join(_as_conll(sentence, bool(scored)) for sentence in sentences),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [write_atomically(folder / name, text) for name, text in contents.items()]
    return paths + _write_reports(folder, schema.scheme, scored)


def write_entity_reports(
    folder: str | Path,
    *,
    schema: TaggingSchema,
    words: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str] | None],
    ids: Sequence[Any] | None = None,
    tag_probabilities: Sequence[Sequence[float]] | None = None,
    chain_probabilities: Sequence[Sequence[float]] | None = None,
    spans: Sequence[TextSpans | None] | None = None,
) -> list[Path]:
    """Write ``entity_report.csv`` and ``entity_errors.csv`` alone; arguments, files and errors as above.

    Returns:
        The written files; none where no sentence has true tags.
    """
    chain = tag_probabilities if chain_probabilities is None else chain_probabilities
    sentences = _sentences(
        schema, words=words, predicted=predicted, gold=gold, ids=ids, tag=tag_probabilities, chain=chain, spans=spans
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return _write_reports(folder, schema.scheme, [sentence for sentence in sentences if sentence.gold is not None])


@dataclass(frozen=True)
class _Sentence:
    """A sentence with its predicted entities; ``confidences`` belong to them."""

    id: Any
    words: Sequence[str]
    tags: Sequence[str]
    gold: Sequence[str] | None
    found: Sequence[Entity]
    confidences: Sequence[float] | None
    spans: TextSpans | None
    level: str

    def text(self, start: int, end: int) -> str:
        """Give the words from ``start`` to ``end`` as the input writes them, as far as that is known."""
        if start >= end:
            return ""
        if self.spans is not None:
            text, places = self.spans
            return text[places[start][0] : places[end - 1][1]]
        return join_words(self.words[start:end], self.level)

    def context(self, start: int, end: int) -> str:
        """Give some words with the ones before and after, in one line, the words themselves in brackets."""
        first, last = max(start - CONTEXT_WORDS, 0), min(end + CONTEXT_WORDS, len(self.words))
        before = "…" * (first > 0) + self.text(first, start)
        after = self.text(end, last) + "…" * (last < len(self.words))
        return " ".join(f"{before} [{self.text(start, end)}] {after}".split())

    def as_json(self) -> dict[str, Any]:
        """Give what stands in ``predictions.jsonl``."""
        rows = []
        for i, entity in enumerate(self.found):
            row: dict[str, Any] = {**entity._asdict(), "text": self.text(entity.start, entity.end)}
            if self.confidences is not None:
                row["confidence"] = self.confidences[i]
            if self.spans is not None:
                row["start_char"], row["end_char"] = self.spans[1][entity.start][0], self.spans[1][entity.end - 1][1]
            rows.append(row)
        return {"id": self.id, "words": list(self.words), "tags": list(self.tags), "entities": rows}


def _sentences(schema: TaggingSchema, **columns: Sequence[Any] | None) -> list[_Sentence]:
    number = len(columns["words"] or ())
    for name, column in columns.items():
        if column is not None and len(column) != number:
            raise ValueError(f"{name}: {len(column)} entries for {number} sentences.")
    rows = zip(*([None] * number if column is None else column for column in columns.values()), strict=True)
    return [_sentence(schema, i, **dict(zip(columns, row, strict=True))) for i, row in enumerate(rows)]


def _sentence(
    schema: TaggingSchema,
    number: int,
    *,
    words: Any,
    predicted: Any,
    gold: Any,
    ids: Any,
    tag: Any,
    chain: Any,
    spans: Any,
) -> _Sentence:
    values = {"predicted": predicted, "gold": gold, "tag_probabilities": tag, "chain_probabilities": chain}
    for name, cells in {**values, "spans": spans and spans[1]}.items():
        if cells is not None and len(cells) != len(words):
            raise ValueError(f"{name}: {len(cells)} values for the {len(words)} words of sentence {number}.")
    found = entities(predicted, schema.scheme)
    confidences = None if tag is None else [entity_confidence(entity, tag, chain) for entity in found]
    own_id = number if ids is None else ids
    return _Sentence(own_id, words, predicted, gold, found, confidences, spans, schema.level)


def entity_confidence(entity: Entity, tag: Sequence[float], chain: Sequence[float]) -> float:
    """Give the probability of the tags of an entity as a whole, see ``write_tag_predictions``.

    Args:
        entity: The entity, in words.
        tag: The probability of each word's tag.
        chain: The same given the tag before.
    """
    chances = [tag[entity.start], *chain[entity.start + 1 : entity.end]]
    return min(float(math.prod(chances)), 1.0)  # float32 may end a hair above


def _sentence_answers(
    schema: TaggingSchema,
    words: Sequence[Sequence[str]],
    gold: Sequence[str | None] | None,
    logits: ArrayLike | None,
) -> list[dict[str, Any]]:
    """Give what a joint model says of each sentence; nothing for other models."""
    number = len(words)
    if logits is None:
        return [{} for _ in range(number)]
    scores = np.asarray(logits, dtype=np.float64)
    if scores.shape != (number, len(schema.sentence_labels)):
        raise ValueError(
            f"sentence logits have shape {scores.shape}, expected {(number, len(schema.sentence_labels))}."
        )
    if gold is not None and len(gold) != number:
        raise ValueError(f"sentence_labels: {len(gold)} entries for {number} sentences.")
    answers = []
    for i, chances in enumerate(softmax(scores)):
        best = int(chances.argmax())
        answer: dict[str, Any] = dict.fromkeys(("sentence_label", "sentence_probability"))
        if words[i]:
            answer = {"sentence_label": schema.sentence_labels[best], "sentence_probability": float(chances[best])}
        if gold is not None and gold[i] is not None:
            answer["gold_sentence_label"] = gold[i]
        answers.append(answer)
    return answers


def _as_conll(sentence: _Sentence, with_gold: bool) -> str:
    lines = []
    for i, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
        cells = [word, *(["-" if sentence.gold is None else sentence.gold[i]] if with_gold else []), tag]
        lines.append(" ".join(map(_solid, cells)) + "\n")
    return "".join(lines) + "\n"


def _solid(cell: str) -> str:
    """Write a cell without white space and never empty: one word, one line, its columns."""
    return "_".join(cell.split()) or "_"


def _write_reports(folder: Path, scheme: str, scored: Sequence[_Sentence]) -> list[Path]:
    if not scored:
        for name in (REPORT_FILE, ERROR_FILE):
            (folder / name).unlink(missing_ok=True)  # beside these predictions they would pass for theirs
        return []
    contents = {
        REPORT_FILE: csv_table(REPORT_COLUMNS, _report_rows(scheme, scored)),
        ERROR_FILE: csv_table(ERROR_COLUMNS, _error_rows(scheme, scored)),
    }
    return [write_atomically(folder / name, text) for name, text in contents.items()]


def _report_rows(scheme: str, sentences: Iterable[_Sentence]) -> Iterator[list[Any]]:
    counts = EntityCounts(scheme)
    for sentence in sentences:
        counts.add(sentence.gold or (), sentence.tags)
    for name, types in [*((name, [name]) for name in counts.types()), ("total", counts.types())]:
        numbers = [sum(column[type_] for type_ in types) for column in (counts.gold, counts.predicted, counts.correct)]
        yield [name, *counts.scores_of(types).values(), *numbers]


def _error_rows(scheme: str, sentences: Iterable[_Sentence]) -> Iterator[list[Any]]:
    for sentence in sentences:
        confidences = dict(zip(sentence.found, sentence.confidences or [], strict=False))
        for error in find_errors(entities(sentence.gold or (), scheme), sentence.found):
            yield _error_row(sentence, error, confidences)


def _error_row(sentence: _Sentence, error: EntityError, confidences: Mapping[Entity, float]) -> list[Any]:
    cells: list[Any] = [sentence.id, error.kind]
    both = [entity for entity in (error.gold, error.predicted) if entity is not None]
    for entity in (error.gold, error.predicted):
        if entity is None:
            cells += [None] * 4
        else:
            cells += [entity.type, sentence.text(entity.start, entity.end), entity.start, entity.end]
    confidence = None if error.predicted is None else confidences.get(error.predicted)
    return [*cells, confidence, sentence.context(min(e.start for e in both), max(e.end for e in both))]
