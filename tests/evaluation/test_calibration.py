"""The calibration error is that of the paper's formula, counted bin by bin."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ext.evaluation.calibration import measure_calibration


def by_hand(confidence, right, bins):
    total, error = len(confidence), 0.0
    for k in range(bins):
        inside = [i for i, c in enumerate(confidence) if k / bins < c <= (k + 1) / bins or (k == 0 and c == 0)]
        if inside:
            said = sum(confidence[i] for i in inside) / len(inside)
            was = sum(right[i] for i in inside) / len(inside)
            error += len(inside) / total * abs(was - said)
    return error


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_it_is_the_formula(bins):
    draw = np.random.default_rng(0)
    confidence, right = draw.random(300), draw.random(300) < 0.6
    measured = measure_calibration(confidence, right, bins=bins)
    assert measured.counts.sum() == 300
    assert measured.expected_error == pytest.approx(by_hand(confidence, right, bins), rel=1e-12)


def test_ends_belong_to_bins_and_nothing_gives_nothing():
    measured = measure_calibration([0.0, 1.0, 0.5], [0, 1, 1], bins=2)
    assert measured.counts.tolist() == [2, 1]
    assert measure_calibration([], []).expected_error == 0.0


def test_a_model_that_is_always_right_and_sure_has_no_error():
    assert measure_calibration(np.ones(5), np.ones(5)).expected_error == 0.0
    assert measure_calibration(np.ones(5), np.zeros(5)).expected_error == 1.0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must be"):
        measure_calibration([0.5], [1, 0])
