"""The metric of a tagger, counted while Trainer evaluates: nothing is kept but counts and one open sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import EvalPrediction

from hf_ext.evaluation.entities import EntityCounts, Metrics
from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.models.tagging_schema import TaggingSchema


class _Rows(NamedTuple):
    """Rows of a batch by what is counted: R rows, W labelled words one row after the other, S sentence labels."""

    sentence: NDArray[np.int64]  # (R,) number of the sentence that a row is a window of
    lengths: NDArray[np.int64]  # (R,) labelled words of each row
    gold: NDArray[np.int64]  # (W,)
    predicted: NDArray[np.int64]  # (W,)
    sentence_gold: NDArray[np.int64]  # (R,), -100 where there is none
    sentence_guess: NDArray[np.int64]  # (R,)

    def joined(self, more: _Rows) -> _Rows:
        """Append the rows of another batch."""
        both: Any = [np.concatenate(pair) for pair in zip(self, more, strict=True)]
        return _Rows(*both)

    def cut(self, row: int) -> tuple[_Rows, _Rows]:
        """Give the rows before ``row`` and the others."""
        word = int(self.lengths[:row].sum())
        places = (row, row, word, word, row, row)
        before: Any = [values[:place] for values, place in zip(self, places, strict=True)]
        after: Any = [values[place:].copy() for values, place in zip(self, places, strict=True)]  # not the whole batch
        return _Rows(*before), _Rows(*after)


class TaggingMetric:
    """Strict entity scores over batches, for the ``compute_metrics`` of an ``ExtTrainer``.

    Trainer's own way, which it takes unless ``batch_eval_metrics=True``, gathers the logits of the whole split
    (N, T, K), in quadratic time; here each batch is counted and dropped. Rows that are windows of one sentence are put
    together first, so that an entity across the cut counts once.

    A call takes an ``EvalPrediction`` of the next rows, in data-set order or in that of ``row_order``.
    ``predictions``: tags ``(B, T)`` or logits ``(B, T, K)``, alone or first in a tuple; with sentence labels the scores
    ``(B, S)`` stand last in it. ``label_ids``: tag ids ``(B, T)``, -100 where no word is scored; with sentence labels a
    tuple of those and of ``(B,)``. With ``compute_result`` it gives the figures of ``EntityCounts.scores`` and begins
    anew; without, an empty dictionary. With sentence labels there are also ``sentence_accuracy`` (over labelled
    sentences; the first window of a sentence speaks for it) and ``both_right`` (the part of them whose label and tags
    are all right).

    Args:
        schema: Tags, scheme and sentence labels of the model.
        sentence: Number of the sentence of each row of the split, length N; windows of one sentence are neighbours.
        entity_level: Add the figures of each type.

    Attributes:
        row_order: The number of each row as the rows come, where that is not the order of the split; windows of one
            sentence stay neighbours, in their order.
    """

    takes_batches = True

    def __init__(self, schema: TaggingSchema, sentence: Sequence[int], *, entity_level: bool = False) -> None:
        self.schema, self.entity_level = schema, entity_level
        self._sentence = np.asarray(sentence[:], dtype=np.int64)  # a column of datasets is slow row by row
        self.row_order: NDArray[np.int64] | None = None
        self.reset()

    @property
    def row_groups(self) -> NDArray[np.int64]:
        """Tell which rows must stay neighbours, whatever order they come in: those with the same number."""
        return self._sentence

    def reset(self) -> None:
        """Forget what was counted; needed by hand only after an evaluation that was broken off."""
        self.counts = EntityCounts(self.schema.scheme, self.schema.tags)
        self._seen = 0
        self._sentences = self._sentences_right = self._both_right = 0
        self._open: _Rows | None = None  # the last sentence so far: the next batch may go on with it

    def shrink(self, outputs: Any, labels: Any = None) -> tuple[Tensor, ...]:
        """Give the tags and, with sentence labels, their labels: all that needs to be gathered of a batch.

        Args:
            outputs: Tags ``(B, T)`` or scores ``(B, T, K)``, and so on, as ``predictions`` above.
            labels: Not looked at; ``Trainer`` passes them.
        """
        parts = _as_tuple(outputs)
        tags = _best(parts[0], 2)
        return (tags, _best(parts[-1], 1)) if self.schema.sentence_labels and len(parts) > 1 else (tags,)

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> Metrics:
        """Count a batch; give the figures if it was the last one.

        Raises:
            ValueError: If the rows are more or fewer than the split has, or shapes or tag ids do not fit.
        """
        try:
            rows = self._read(prediction)
            if self._open is not None:
                rows = self._open.joined(rows)
            runs = _runs(rows.sentence)
            finished = len(runs) if compute_result else int(np.searchsorted(runs, runs[-1:]).sum())
            done, self._open = rows.cut(finished)
            self._count(done)
            if not compute_result:
                return {}
            if self._seen < len(self._sentence):
                raise ValueError(
                    f"only {self._seen} rows came of the {len(self._sentence)} that the metric was built for."
                )
        except ValueError:
            self.reset()
            raise
        result = self._figures()
        self.reset()
        return result

    def _read(self, prediction: EvalPrediction) -> _Rows:
        predictions, labels = _as_tuple(prediction.predictions), _as_tuple(prediction.label_ids)
        gold, predicted = _as_ids(labels[0]), _as_ids(predictions[0])
        if gold.shape != predicted.shape or gold.ndim != 2:
            raise ValueError(
                f"predicted tags have shape {predicted.shape}, labels {gold.shape}; expected (B, T) twice."
            )
        number = len(gold)
        begin, self._seen = self._seen, self._seen + number
        if self._seen > len(self._sentence):
            raise ValueError(
                f"{self._seen} rows came, more than the {len(self._sentence)} that the metric was built for."
            )
        sentence_gold, sentence_guess = (np.full(number, IGNORED_LABEL) for _ in range(2))
        if self.schema.sentence_labels:
            if len(labels) < 2 or len(predictions) < 2:
                raise ValueError(
                    "the schema has sentence labels: expected (tags, ..., scores) and (labels, sentence labels)."
                )
            sentence_gold, sentence_guess = _as_ids(labels[1]).reshape(-1), _as_ids(predictions[-1], dimensions=1)
        words = gold != IGNORED_LABEL
        come = slice(begin, self._seen)
        sentence = self._sentence[come if self.row_order is None else self.row_order[come]]
        return _Rows(sentence, words.sum(1), gold[words], predicted[words], sentence_gold, sentence_guess)

    def _count(self, rows: _Rows) -> None:
        runs = _runs(rows.sentence)
        run_of_word = np.repeat(runs, rows.lengths)
        self.counts.add_ids(rows.gold, rows.predicted, run_of_word)
        if not self.schema.sentence_labels or not len(runs):
            return
        first = np.flatnonzero(np.diff(runs, prepend=-1))
        gold, guess = rows.sentence_gold[first], rows.sentence_guess[first]
        wrong_words = np.bincount(run_of_word[rows.gold != rows.predicted], minlength=len(first))
        right = (guess == gold) & (gold != IGNORED_LABEL)
        self._sentences += int((gold != IGNORED_LABEL).sum())
        self._sentences_right += int(right.sum())
        self._both_right += int((right & (wrong_words == 0)).sum())

    def _figures(self) -> Metrics:
        figures = self.counts.scores(entity_level=self.entity_level)
        if self.schema.sentence_labels:
            number = max(self._sentences, 1)
            figures["sentence_accuracy"] = self._sentences_right / number
            figures["both_right"] = self._both_right / number
        return figures


def _runs(sentence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the runs of equal values: 0, 0, 1, 2, 2, ..."""
    return np.cumsum(np.diff(sentence, prepend=sentence[:1]) != 0)


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, tuple | list) else (values,)


def _best(scores: Any, dimensions: int) -> Any:
    """Take the largest of scores, which have one dimension more than ids; they stay where they are."""
    return scores.argmax(-1) if scores.ndim > dimensions else scores


def _as_ids(values: Tensor | NDArray[Any], *, dimensions: int = 2) -> NDArray[np.int64]:
    """Bring ids, or the best of scores, to numpy."""
    ids = _best(values, dimensions)
    return (ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)).astype(np.int64)
