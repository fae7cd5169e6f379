"""Random numbers by number: the same for a row whoever asks, in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, made odd
FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
FIRST_SHIFT, SECOND_SHIFT, THIRD_SHIFT = np.uint64(30), np.uint64(27), np.uint64(31)
PURPOSE_SHIFT = np.uint64(32)
HALF = np.uint64(32)


def row_keys(seed: int, epoch: int, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint64]:
    """Give each row a key of its own for this seed and epoch.

    Args:
        seed: Any integer; of a negative or large one the lowest 64 bits count.
        epoch: The epoch; rows that are not trained on have the same key in all of them.
        rows: The number of each row, shape ``(B,)``; those below zero are not trained on.

    Returns:
        The keys, shape ``(B,)``.
    """
    fixed, changing = _epoch_keys(seed, epoch)
    numbers = np.asarray(rows, dtype=np.int64)
    return mix(np.where(numbers < 0, fixed, changing) + numbers.view(np.uint64) * STEP)


@cache
def _epoch_keys(seed: int, epoch: int) -> NDArray[np.uint64]:
    """Give the keys of no epoch and of this one."""
    root = mix(np.array([seed % 2**64], dtype=np.uint64) + STEP)
    return mix(root + np.array([0, epoch], dtype=np.uint64) * STEP)


def draw(keys: NDArray[np.uint64], counters: NDArray[np.int64], *, purpose: int) -> NDArray[np.uint64]:
    """Draw 64 random bits for each counter.

    A row's draws are the outputs of the generator SplitMix64 (Steele, Lea and Flood, 2014, Fast splittable
    pseudorandom number generators, OOPSLA, figures 16 and 17) whose state began as the row's key. As its state only
    counts, any output can be had without those before it.

    Args:
        keys: What ``row_keys`` gave, of a shape that broadcasts with the counters.
        counters: Which draw of the row, from 0 and below 2^32.
        purpose: Draws for different purposes are independent of one another; from 0 and below 2^32.

    Returns:
        The draws, in the broadcast shape.
    """
    numbers = counters.view(np.uint64) + ((np.uint64(purpose) << PURPOSE_SHIFT) + np.uint64(1))
    numbers *= STEP
    return mix(keys + numbers)


def scale(draws: NDArray[np.uint64], size: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Turn draws into whole numbers from 0 to ``size - 1``, all equally probable to within ``size / 2^32``."""
    sizes = size.view(np.uint64) if isinstance(size, np.ndarray) else np.uint64(size)
    return (((draws >> HALF) * sizes) >> HALF).view(np.int64)


def unit_interval(draws: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turn draws into numbers from 0 up to, and without, 1."""
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of each number: the finalizer of SplitMix64, a permutation of all 64-bit numbers."""
    mixed = numbers ^ (numbers >> FIRST_SHIFT)
    mixed *= FIRST_FACTOR
    mixed ^= mixed >> SECOND_SHIFT
    mixed *= SECOND_FACTOR
    mixed ^= mixed >> THIRD_SHIFT
    return mixed
