"""How far a figure would move with other rows of the same kind: intervals by drawing the rows again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.evaluation.running_scores import check_problem_type
from hf_ext.models.schema import MULTI_LABEL, REGRESSION

LEVEL = 0.95
MOST_NUMBERS = 2**21  # held at once

Figure = Callable[[NDArray[np.int64]], NDArray[np.float64]]


class Interval(NamedTuple):
    """Where the figure lies in 95 of 100 draws: from ``low`` to ``high``."""

    low: float
    high: float


def answer_interval(
    answers: ArrayLike, targets: ArrayLike, problem_type: str, *, samples: int, seed: int
) -> Interval | None:
    """Give the interval of a classifier's main metric: weighted F1, of numbers Spearman's correlation.

    Args:
        answers: Label indices ``(N,)``, 0/1 rows ``(N, L)`` or numbers ``(N,)``.
        targets: The same of the truth; no row is without a label.
        problem_type: One of transformers' three names.
        samples: How often the rows are drawn.
        seed: Of the draws.

    Returns:
        None where the figure is not defined in any draw, or a number is not finite.

    Raises:
        ValueError: If the problem type is unknown, the shapes differ or there is no row.
    """
    check_problem_type(problem_type)
    guess, truth = np.asarray(answers), np.asarray(targets)
    if guess.shape != truth.shape or not len(guess):
        raise ValueError(f"answers have shape {guess.shape}, targets {truth.shape}; both must have the same rows.")
    if problem_type == REGRESSION and not (np.isfinite(guess).all() and np.isfinite(truth).all()):
        return None
    pairs, rows = np.unique(np.column_stack([guess, truth]), axis=0, return_counts=True)
    guess, truth = np.split(pairs, 2, axis=1)  # (K, 1) or (K, L)
    if problem_type == REGRESSION:
        figure = spearman_figure(guess[:, 0], truth[:, 0])
    else:
        labels = 1 if problem_type == MULTI_LABEL else np.unique(pairs)
        guess, truth = guess == labels, truth == labels  # (K, L)
        figure = f1_figure(guess & truth, guess, truth)
    return bootstrap_interval(figure, rows, samples=samples, seed=seed)


def entity_interval(counts: ArrayLike, *, samples: int, seed: int) -> Interval | None:
    """Give the interval of the F1 over entities; whole sentences are drawn, since their words go together.

    Args:
        counts: Entities of each sentence that are right, predicted and true, shape ``(N, 3)``.
        samples: How often the sentences are drawn.
        seed: Of the draws.
    """
    kinds, rows = np.unique(np.asarray(counts), axis=0, return_counts=True)
    return bootstrap_interval(f1_figure(*np.split(kinds, 3, axis=1)), rows, samples=samples, seed=seed)


def bootstrap_interval(figure: Figure, rows: NDArray[np.int64], *, samples: int, seed: int) -> Interval | None:
    """Draw as many rows as there are, with replacement, again and again, and cut off 2.5 % of the figures on each side.

    The percentile interval of Efron (1979, Annals of Statistics 7). Rows that add the same to a figure are of one kind.
    Drawing N rows of K kinds is one draw from the multinomial distribution, so that time grows with the kinds.

    Args:
        figure: Gives the figure of each draw, ``(S,)``, from how often each kind was drawn, ``(S, K)``.
        rows: The number of rows of each kind, shape ``(K,)``.
        samples: How many draws.
        seed: Of the draws.

    Returns:
        None where the figure is not defined (NaN) in any draw; other draws without a figure are left out.
    """
    draw, total = np.random.default_rng(seed), int(rows.sum())
    at_once = max(1, MOST_NUMBERS // len(rows))
    sizes = [min(at_once, samples - done) for done in range(0, samples, at_once)]
    found = np.concatenate([figure(draw.multinomial(total, rows / total, size=size)) for size in sizes])
    found = found[~np.isnan(found)]
    if not len(found):
        return None
    return Interval(*(float(value) for value in np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])))


def f1_figure(right: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> Figure:
    """Give F1, weighted by the true rows of each label, from what each kind of row adds, ``(K, L)`` each.

    With one column this is the plain F1. Without anything true it is 0.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (right, predicted, true)]

    def figure(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        correct, guessed, held = (drawn @ part for part in parts)  # (S, L)
        f1 = 2 * correct / np.maximum(guessed + held, 1)
        return (f1 * held).sum(axis=1) / np.maximum(held.sum(axis=1), 1)

    return figure


def spearman_figure(guess: NDArray[Any], truth: NDArray[Any]) -> Figure:
    """Give Spearman's correlation of two numbers of each kind of row, ``(K,)`` each; NaN where one is constant."""

    def figure(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        middle = (drawn.sum(axis=1, keepdims=True) + 1) / 2
        a, b = (_ranks(values, drawn) - middle for values in (guess, truth))
        spread = np.sqrt((drawn * a * a).sum(axis=1) * (drawn * b * b).sum(axis=1))
        return np.divide((drawn * a * b).sum(axis=1), spread, out=np.full(len(drawn), np.nan), where=spread > 0)

    return figure


def _ranks(values: NDArray[Any], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the rank of each kind among the drawn rows, ``(S, K)``; equal values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    _, first, place = np.unique(values[order], return_index=True, return_inverse=True)
    sizes = np.add.reduceat(drawn[:, order], first, axis=1)  # (S, distinct values)
    ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    spread = np.empty(drawn.shape)
    spread[:, order] = ranks[:, place]
    return spread
