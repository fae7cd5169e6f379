"""What a model says of windows, put together to one answer for each word of each sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from hf_ext.models.schema import IGNORED_LABEL

PLACES = ("sentence", "word_starts", "first_word", "owned_first", "owned_end")


@dataclass
class MergedTags:
    """One entry a sentence, in the order of the split, with one value for each of its words, always.

    Args:
        tags: Tag ids.
        tag_probabilities: The probability of each tag, ``P(y_t)``; None if the model gave none.
        chain_probabilities: The probability of each tag given the one before, ``P(y_t | y_t-1)``; None likewise.
        sentence_logits: float32 ``(N, S)`` from the first window of each sentence, zeros for a sentence without words;
            None without sentence labels.
    """

    tags: list[list[int]]
    tag_probabilities: list[list[float]] | None = None
    chain_probabilities: list[list[float]] | None = None
    sentence_logits: np.ndarray | None = None


def merge_windows(
    lengths: Sequence[int], features: datasets.Dataset, predictions: Any, *, joint: bool = False, left: bool = False
) -> MergedTags:
    """Take the prediction of each word from the window that owns it.

    Args:
        lengths: Words of each sentence.
        features: The windows, with ``PLACES``.
        predictions: What ``Trainer.predict`` gives: the outputs of all windows, or a list with those of each batch
            (``eval_do_concat_batches=False``). Outputs are one array or a tuple: first tags, integer ``(B, T)``, or
            logits ``(B, T, K)``; then, if they follow, the two probabilities, float ``(B, T)``; with ``joint`` last the
            sentence logits ``(B, S)``. Logits give their softmax as both probabilities. Padding is -100 or 0, on
            either side; tags at further tokens and at special ones are not looked at.
        joint: Whether the last output holds sentence logits.
        left: Whether the tokenizer pads on the left.

    Raises:
        ValueError: If there are not as many rows as windows, or a word has no tag.
    """
    places = {name: features[name][:] for name in PLACES}
    tokens = [len(mask) for mask in features["attention_mask"][:]] if left else None
    names = ("tags", "tag_probabilities", "chain_probabilities")
    merged: dict[str, list[list[Any]]] = {"tags": [[None] * n for n in lengths]}
    sentence_logits: np.ndarray | None = None
    row = 0
    for batch in _batches(predictions):
        outputs, logits = _take_apart(batch, joint)
        if row + len(outputs[0]) > len(features):
            raise ValueError(f"there are more predictions than the {len(features)} windows.")
        for name in names[1 : len(outputs)]:
            merged.setdefault(name, [[0.0] * n for n in lengths])
        if logits is not None and sentence_logits is None:
            sentence_logits = np.zeros((len(lengths), logits.shape[-1]), dtype=np.float32)
        for i in range(len(outputs[0])):
            sentence, first = places["sentence"][row], places["first_word"][row]
            begin, end = places["owned_first"][row], places["owned_end"][row]
            where = find_words(outputs[0][i], places["word_starts"][row], tokens[row] if tokens else None)
            for name, values in zip(names, outputs, strict=False):
                merged[name][sentence][begin:end] = values[i][where[begin - first : end - first]].tolist()
            if logits is not None and sentence_logits is not None and first == 0:
                sentence_logits[sentence] = logits[i]
            row += 1
    if row != len(features):
        raise ValueError(f"{row} predictions for {len(features)} windows.")
    for i, tags in enumerate(merged["tags"]):
        if any(tag is None or tag < 0 for tag in tags):
            raise ValueError(f"the model gives no tag for a word of sentence {i}.")
    return MergedTags(
        merged["tags"], merged.get("tag_probabilities"), merged.get("chain_probabilities"), sentence_logits
    )


def _batches(predictions: Any) -> Iterator[Any]:
    yield from predictions if isinstance(predictions, list) else [predictions]


def _take_apart(batch: Any, joint: bool) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Give the tags and, if there are, the probabilities ``(B, T)``, and the sentence logits."""
    outputs = [np.asarray(part) for part in (batch if isinstance(batch, (tuple, list)) else (batch,))]
    logits = outputs.pop() if joint and len(outputs) > 1 else None
    first = outputs[0]
    if first.ndim == 3:
        return [*_softmax(first)], logits
    if not np.issubdtype(first.dtype, np.integer):
        raise ValueError(f"the first output is {first.dtype} {first.shape}; expected tags (B, T) or logits (B, T, K).")
    probabilities = [part for part in outputs[1:3] if part.shape == first.shape]
    return [first, *probabilities], logits


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    padding = (logits == IGNORED_LABEL).all(-1)  # (B, T), where batches of different lengths were joined
    shifted = logits.astype(np.float32) - logits.max(-1, keepdims=True)
    best = 1.0 / np.exp(shifted).sum(-1)  # (B, T)
    tags = np.where(padding, IGNORED_LABEL, logits.argmax(-1))
    return tags, best, best


def find_words(tags: np.ndarray, starts: Sequence[int], tokens: int | None) -> np.ndarray:
    """Find where the words of one window stand in its row of a batch.

    A model that tags words only tells it; one that tags every token has them at ``starts``, behind the padding if that
    is on the left (what joining batches has added stands on the right and is -100).
    """
    marked = np.flatnonzero(tags != IGNORED_LABEL)
    if len(marked) == len(starts):
        return marked
    places = np.asarray(starts)
    return places if tokens is None else places + (int(marked[-1]) + 1 - tokens if len(marked) else 0)
