"""Sums that are merged give what all numbers give at once, also far from zero."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from classification_reference import regression
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.evaluation.moments import PairMoments


def moments_of(*parts):
    found = PairMoments()
    for guess, truth in parts:
        found.add(np.asarray(guess, dtype=np.float64), np.asarray(truth, dtype=np.float64))
    return found


def exact_pearson(guess, truth):
    """Compute it in rational numbers up to the last root."""
    a, b = ([Fraction(float(value)) for value in values] for values in (guess, truth))
    a, b = ([value - sum(values) / len(values) for value in values] for values in (a, b))
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return float(product) / (float(sum(x * x for x in a)) ** 0.5 * float(sum(y * y for y in b)) ** 0.5)


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_cut_gives_the_figures_of_all_rows(seed, cuts):
    rng = np.random.default_rng(seed)
    guess, truth = rng.normal(size=(2, 40))
    parts = list(zip(np.split(guess, sorted(cuts)), np.split(truth, sorted(cuts)), strict=True))
    expected = {name: value for name, value in regression(guess, truth).items() if name != "spearman"}
    merged = PairMoments()
    merged.merge(np.stack([moments_of(part).state for part in parts]))
    for found in (moments_of(*parts), merged):
        assert found.rows == 40
        assert found.figures() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("far", [1e6, 1e9])
def test_numbers_far_from_zero_keep_their_digits(far):
    rng = np.random.default_rng(3)
    guess, noise = rng.normal(size=(2, 300))
    guess, truth = far + guess, far + guess + noise
    parts = [(guess[i : i + 7], truth[i : i + 7]) for i in range(0, 300, 7)]
    exact = exact_pearson(guess, truth)
    assert moments_of(*parts).figures()["pearson"] == pytest.approx(exact, rel=1e-7)
    plain = (guess @ truth - guess.sum() * truth.sum() / 300) / 300  # what sums of products alone would give
    assert far < 1e9 or plain != pytest.approx(np.cov(guess, truth, bias=True)[0, 1], rel=1e-2)


def test_constants_have_no_correlation_whatever_the_rounding():
    assert moments_of(([0.1] * 3, [0.1, 0.2, 0.4]), ([0.1] * 10, [0.3] * 10)).figures().keys() == {
        *("mse", "rmse", "mae", "r2")
    }
    assert moments_of(([1.0, 2.0], [0.1, 0.1]), ([3.0], [0.1])).figures().keys() == {"mse", "rmse", "mae"}


def test_no_rows_are_no_rows():
    assert moments_of().rows == 0
    assert moments_of(([], [])).rows == 0
