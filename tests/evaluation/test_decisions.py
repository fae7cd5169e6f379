"""Probabilities: scipy itself, and one kind of task after another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as scipy_softmax

from hf_ext.evaluation.decisions import probabilities, sigmoid, softmax
from hf_ext.models.schema import MULTI_LABEL, SINGLE_LABEL


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6))
def test_softmax_and_sigmoid_equal_scipy_even_for_large_logits(logits):
    np.testing.assert_allclose(softmax([logits])[0], scipy_softmax(logits), atol=1e-12)
    np.testing.assert_allclose(sigmoid(logits), expit(logits), atol=1e-12)
    assert softmax(logits).sum() == pytest.approx(1.0)


def test_probabilities_by_kind_of_task():
    logits = np.array([[0.0, 0.0]])
    np.testing.assert_array_equal(probabilities(logits, SINGLE_LABEL), [[0.5, 0.5]])
    np.testing.assert_array_equal(probabilities(logits + 800, MULTI_LABEL), [[1.0, 1.0]])
