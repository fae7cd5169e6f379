"""The order of training rows, from several sources in given proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_PASSES = 1000  # a slip of the pen in a weight must not fill the disk


def mix_rows(sizes: Sequence[int], weights: Sequence[float], seed: int) -> np.ndarray:
    """Give an order of the rows of several sources in which each has the share of its weight.

    Every row comes at least once. The source that is scarcest for its weight comes exactly once; the rows of the others
    come again, all of them before any comes a third time.

    Args:
        sizes: Rows of each source, at least one; they are numbered one source after the other.
        weights: Positive, of any sum.
        seed: Of the order (the frozen Mersenne twister of ``numpy.random.RandomState``, the same everywhere).

    Raises:
        ValueError: If rows would have to come more than ``MOST_PASSES`` times.

    Returns:
        Row numbers, shape ``(N,)``; any long stretch has the same proportions.
    """
    generator = np.random.RandomState(seed)
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    total = max(size / share for size, share in zip(sizes, shares, strict=True))
    most = max(total * share / size for size, share in zip(sizes, shares, strict=True))
    if most > MOST_PASSES:
        raise ValueError(
            f"with these weights some rows would come {most:,.0f} times an epoch, at most {MOST_PASSES} are"
        )
    drawn = []
    first = 0
    for size, share in zip(sizes, shares, strict=True):
        count = max(size, round(total * share))
        passes = [generator.permutation(size) for _ in range(-(-count // size))]
        drawn.append(first + np.concatenate(passes)[:count].astype(np.int64))
        first += size
    rows = np.concatenate(drawn)
    return rows[generator.permutation(len(rows))]
