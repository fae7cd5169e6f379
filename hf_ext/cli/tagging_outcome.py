"""What a tagging run leaves behind: a tag for every word, entities with confidence, and where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.cli.explaining import TaskFacts
from hf_ext.cli.faults import blame_run
from hf_ext.cli.intervals import interval_figures
from hf_ext.cli.outcome import Outcome
from hf_ext.cli.tagger_card import describe_tagger
from hf_ext.data.checks.report import DataReport
from hf_ext.data.checks.tagging import inspect_tagging
from hf_ext.data.tagging import MergedTags, TaggingData
from hf_ext.evaluation.bootstrap import entity_interval
from hf_ext.evaluation.entities import EntityCounts, Metrics
from hf_ext.evaluation.tag_reports import write_entity_reports, write_tag_predictions
from hf_ext.models.schema import IGNORED_LABEL

MAIN_METRICS = ("f1", "precision", "recall", "accuracy")
LABEL_COLUMNS = ("labels", "sentence_labels")  # of features
JOINT_METRICS = ("sentence_accuracy", "both_right")


class TaggingOutcome(Outcome[TaggingData]):
    """The last step of ``run_ner.py``.

    Args:
        args: The run's training arguments.
    """

    task = "token-classification"

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self._has_report = False  # of the test sentences

    def predict(self, trainer: Trainer, data: TaggingData, features: Any) -> None:
        """Tag the words of the test sentences in input order, write them, and score the sentences that have tags.

        Predictions are fetched batch by batch, in time and memory that grow with the words, not with their square.
        """
        with blame_run(), ask_for_probabilities(trainer):
            output = trainer.predict(features, metric_key_prefix="predict")
        merged = data.merge("test", features, output.predictions)
        metrics = {**(output.metrics or {}), "predict_samples": len(merged.tags)}
        scores = score_sentences(data, merged, args=self.args)
        self._record(trainer, "predict", metrics | {f"predict_{name}": value for name, value in scores.items()})
        self._has_report = any(tags is not None for tags in data.tags("test"))
        if trainer.is_world_process_zero():
            self.files |= {path.name: path for path in write_sentences(self.folder, data, merged)}

    def _judge(self, trainer: Trainer, data: TaggingData) -> None:
        rows: Any = trainer.eval_dataset
        if self._has_report or not self.args.do_eval:
            return
        unlabelled = rows.remove_columns([name for name in rows.column_names if name in LABEL_COLUMNS])
        with blame_run(), ask_for_probabilities(trainer):
            output = trainer.predict(unlabelled, metric_key_prefix="report")
        merged = data.merge("validation", unlabelled, output.predictions)
        if trainer.is_world_process_zero():
            paths = report_sentences(self.folder, data, merged, "validation")
            self.files |= {path.name: path for path in paths}

    def _describe(self, trainer: Trainer, data: TaggingData, folder: str) -> TaskFacts:
        split = "test" if self._has_report else "validation"
        return describe_tagger(
            trainer.accelerator.unwrap_model(trainer.model), data, folder, reports=self.folder, split=split
        )

    def _count(self, data: TaggingData, split: str) -> int:
        return len(data.splits[split].sentences)

    def _inspect(self, data: TaggingData) -> DataReport:
        return inspect_tagging(data)

    def _main_metrics(self, data: TaggingData) -> Sequence[str]:
        return MAIN_METRICS + (JOINT_METRICS if data.schema.sentence_labels else ())


def score_sentences(
    data: TaggingData, merged: MergedTags, rows: Sequence[int] | None = None, *, args: Any = None
) -> Metrics:
    """Score what can be scored: sentences with tags the model has, and labels it has of sentences with words.

    Args:
        data: With the test sentences.
        merged: What was predicted, one entry for each of ``rows``.
        rows: Which of the test sentences; all if missing.
        args: Training arguments, which may ask for an interval; none if missing.

    Returns:
        The figures without prefix.
    """
    rows = range(len(merged.tags)) if rows is None else rows
    predicted, metrics = name_tags(data, merged), {}
    gold = _choose(data.tags("test"), rows)
    if any(tags is not None for tags in gold):
        counts = EntityCounts(data.schema.scheme, data.schema.tags)
        totals = [(0, 0, 0)]
        for known, found in zip(gold, predicted, strict=True):
            if known is not None:
                counts.add(known, found)
                totals.append((counts.correct.total(), counts.predicted.total(), counts.gold.total()))
        metrics = counts.scores(entity_level=data.arguments.return_entity_level_metrics)
        if args is not None and args.bootstrap_samples:
            interval = entity_interval(np.diff(totals, axis=0), samples=args.bootstrap_samples, seed=args.seed)
            metrics |= interval_figures("f1", metrics["f1"], interval)
    if merged.sentence_logits is not None:
        chosen = [data.schema.sentence_labels[i] for i in merged.sentence_logits.argmax(1)]
        right = [None if tags is None else tags == found for tags, found in zip(gold, predicted, strict=True)]
        labels = zip(data.sentence_labels("test"), data.words("test"), strict=True)
        known_labels = _choose([label if words else None for label, words in labels], rows)
        metrics |= score_sentence_labels(known_labels, chosen, right)
    return metrics


def report_sentences(
    folder: Path, data: TaggingData, merged: MergedTags, split: str, rows: Sequence[int] | None = None
) -> list[Path]:
    """Write the scores of each type and the errors, see ``write_entity_reports``; give the files.

    Args:
        folder: Where they go.
        data: With the sentences.
        merged: What was predicted, one entry for each of ``rows``.
        split: Of the sentences.
        rows: Which of them; all if missing.
    """
    rows = range(len(merged.tags)) if rows is None else rows
    return write_entity_reports(
        folder,
        schema=data.schema,
        words=_choose(data.words(split), rows),
        gold=_choose(data.tags(split), rows),
        predicted=name_tags(data, merged),
        tag_probabilities=merged.tag_probabilities,
        chain_probabilities=merged.chain_probabilities,
        spans=_choose(data.spans(split), rows),
        ids=_choose(data.ids(split), rows),
    )


def write_sentences(folder: Path, data: TaggingData, merged: MergedTags) -> list[Path]:
    """Write what was predicted of the test sentences, see ``write_tag_predictions``; give the files."""
    return write_tag_predictions(
        folder,
        schema=data.schema,
        words=data.words("test"),
        gold=data.tags("test"),
        predicted=name_tags(data, merged),
        tag_probabilities=merged.tag_probabilities,
        chain_probabilities=merged.chain_probabilities,
        spans=data.spans("test"),
        ids=data.ids("test"),
        sentence_labels=data.sentence_labels("test"),
        sentence_logits=merged.sentence_logits,
    )


def name_tags(data: TaggingData, merged: MergedTags) -> list[list[str]]:
    """Give the names of predicted tags."""
    return [[data.schema.tags[tag] for tag in tags] for tags in merged.tags]


def score_sentence_labels(
    gold: Sequence[str | None], predicted: Sequence[str], tags_right: Sequence[bool | None]
) -> Metrics:
    """Score the labels of sentences, as ``TaggingMetric`` does.

    Args:
        gold: The true label of each sentence, None where there is none.
        predicted: The predicted ones.
        tags_right: Whether every tag of the sentence is right, None where nobody knows.

    Returns:
        ``sentence_accuracy`` over the sentences with a label, ``both_right`` over those with tags as well; left out
        where there are none.
    """
    rows = [(label == guess, fits) for label, guess, fits in zip(gold, predicted, tags_right, strict=True) if label]
    both = [right and fits for right, fits in rows if fits is not None]
    metrics = {"sentence_accuracy": sum(right for right, _ in rows) / len(rows)} if rows else {}
    return metrics | ({"both_right": sum(both) / len(both)} if both else {})


def _choose(values: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    return [values[row] for row in rows]


@contextmanager
def ask_for_probabilities(trainer: Trainer) -> Iterator[None]:
    """Have a prediction give tags with their probabilities, as a list of batches.

    A tagger of ours computes them itself. Of a stock head they are read off its logits, which are then dropped.
    """
    model, args = trainer.accelerator.unwrap_model(trainer.model), trainer.args
    before = trainer.preprocess_logits_for_metrics, args.eval_do_concat_batches
    args.eval_do_concat_batches = False  # joining what came so far with each new batch takes quadratic time
    if hasattr(model, "wants_probabilities"):
        model.wants_probabilities = True
    else:
        trainer.preprocess_logits_for_metrics = best_tags  # type: ignore[assignment]  # Trainer means any outputs
    try:
        yield
    finally:
        trainer.preprocess_logits_for_metrics, args.eval_do_concat_batches = before
        if hasattr(model, "wants_probabilities"):
            model.wants_probabilities = False


def best_tags(logits: Tensor | tuple[Tensor, ...], labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Give what a tagger of ours gives, read off the logits of a stock head.

    Args:
        logits: Scores of every token, shape ``(B, T, K)``, alone or first in a tuple.
        labels: Not looked at; ``Trainer`` passes them.

    Returns:
        The best tags ``(B, T)``, int64, -100 where the scores are nothing but -100; their probabilities ``(B, T)``,
        float32; and these once more, since without a CRF a tag does not depend on the one before it.
    """
    scores = logits[0] if isinstance(logits, tuple) else logits
    filled = (scores == IGNORED_LABEL).all(-1)  # where Trainer has made the batches of the processes equally long
    probabilities, tags = torch.softmax(scores.float(), dim=-1).max(dim=-1)
    return tags.masked_fill(filled, IGNORED_LABEL), probabilities, probabilities
