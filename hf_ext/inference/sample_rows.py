"""Rows of nonsense in the words of a model, to try an exported model with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hf_ext.data.collators import ClassificationCollator
from hf_ext.data.tagging.collator import TaggingCollator
from hf_ext.inference.predictor import Predictor
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.sentence_tagger import SentenceTagger

SHAPES = ((3, 11), (1, 2), (2, 40), (5, 17), (1, 25))  # rows, pieces of text in the longest of them
NOT_READ = ("labels", "sentence_labels")

Batch = dict[str, Tensor]


def sample_batches(predictor: Predictor, seed: int = 0) -> Iterator[Batch]:
    """Make a batch of each of ``SHAPES``, what the model's ``forward`` takes; the first has rows of several lengths."""
    draw = random.Random(seed)
    task = predictor.task
    for rows, pieces in SHAPES:
        lengths = [max(1, pieces - 3 * i) for i in range(rows)]
        if isinstance(task, RowClassifier):
            read = [task.read(_cells(task, draw, length), "sample") for length in lengths]
            batch = ClassificationCollator(task.tokenizer)(task.encode(read))
        else:
            batch = _tagger_batch(task, draw, lengths)
        yield {name: value for name, value in batch.items() if name not in NOT_READ}


def _tagger_batch(task: SentenceTagger, draw: random.Random, lengths: list[int]) -> Batch:
    sentences = [task.read([_text(task, draw, 1) or "." for _ in range(length)], "sample") for length in lengths]
    batch = TaggingCollator(task.tokenizer)(list(task.windows(sentences)))
    if not hasattr(task.engine.model, "wants_probabilities"):
        del batch["word_mask"]  # a stock head scores every token
    return batch


def _cells(task: RowClassifier, draw: random.Random, length: int) -> dict[str, Any]:
    table = task.schema.columns
    cells: dict[str, Any] = {name: _text(task, draw, length) for name in task.columns}
    for category in table.categorical:
        cells[category.name] = draw.choice([*category.categories, "never seen"])
    for number in table.numeric:
        cells[number.name] = draw.choice([number.mean + number.std, number.mean - number.std, None])
    return cells


def _text(task: RowClassifier | SentenceTagger, draw: random.Random, length: int) -> str:
    ids = draw.choices(range(len(task.tokenizer)), k=length)
    return str(task.tokenizer.decode(ids, skip_special_tokens=True))
