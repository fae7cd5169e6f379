"""Tags from the emissions of an exported tagger, with numpy and nothing else.

``hf_ext.inference.export`` copies this file beside the model, so that whoever runs it needs no torch::

    import json, onnxruntime, viterbi
    settings = json.load(open("model.json", encoding="utf-8"))
    (emissions,) = onnxruntime.InferenceSession("model.onnx").run(["emissions"], inputs)
    tags = viterbi.decode(emissions, word_mask, settings["crf"])
    names = [[settings["labels"][i] for i in row] for row in tags]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def decode(emissions: Any, word_mask: Any, crf: Mapping[str, Sequence[Any]] | None = None) -> list[list[int]]:
    """Find the best tags of the words of each row.

    Args:
        emissions: Scores of K tags at every token, shape ``(B, T, K)``.
        word_mask: Not 0 at the first token of each word, shape ``(B, T)``.
        crf: The scores of a CRF: ``start`` (K), ``transitions`` (K from, K to) and ``end`` (K); None where tags do not
            depend on one another.

    Returns:
        Tag ids, one list a row, one id a word.
    """
    rows = [scores[mask != 0] for scores, mask in zip(np.asarray(emissions), np.asarray(word_mask), strict=True)]
    if crf is None:
        return [scores.argmax(-1).tolist() for scores in rows]
    start, transitions, end = (np.asarray(crf[name], dtype=np.float32) for name in ("start", "transitions", "end"))
    return [best_path(scores, start, transitions, end) for scores in rows]


def best_path(emissions: Any, start: Any, transitions: Any, end: Any) -> list[int]:
    """Find the best path through one sentence (Viterbi, 1967).

    ``best_t[j] = max_i(best_{t-1}[i] + transitions[i, j]) + emissions[t, j]``, and back along the i that were best.

    Args:
        emissions: Scores of its words, shape ``(W, K)``.
        start: Scores of the first tag, shape ``(K,)``.
        transitions: Scores of a step from tag i to tag j, shape ``(K, K)``.
        end: Scores of the last tag, shape ``(K,)``.
    """
    if not len(emissions):
        return []
    best, origins = start + emissions[0], []
    for scores in emissions[1:]:
        ways = best[:, None] + transitions  # (from, to)
        origins.append(ways.argmax(0))
        best = ways.max(0) + scores
    path = [int((best + end).argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return path[::-1]
