"""What a model says of the tokens of windows, put together to the scores of all tags at each word of each sentence."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import numpy as np

from hf_ext.data.tagging.merging import PLACES, find_words


def merge_scores(
    lengths: Sequence[int],
    features: datasets.Dataset,
    outputs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    left: bool = False,
) -> list[np.ndarray]:
    """Take the scores of each word from the window that owns it, as ``merge_windows`` takes its tag.

    Args:
        lengths: Words of each sentence.
        features: The windows, with ``PLACES``.
        outputs: Of each window tags ``(T,)``, -100 where a model that tags words only has none, and scores ``(T, K)``.
        left: Whether the tokenizer pads on the left.

    Returns:
        Of each sentence scores ``(W, K)``, float64.
    """
    places = {name: features[name][:] for name in PLACES}
    tokens = [len(mask) for mask in features["attention_mask"][:]] if left else None
    width = outputs[0][1].shape[-1]
    merged = [np.zeros((length, width)) for length in lengths]
    for row, (tags, scores) in enumerate(outputs):
        begin, end, first = (places[name][row] for name in ("owned_first", "owned_end", "first_word"))
        where = find_words(tags, places["word_starts"][row], tokens[row] if tokens else None)
        merged[places["sentence"][row]][begin:end] = scores[where[begin - first : end - first]]
    return merged
