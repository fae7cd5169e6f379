"""Pooled logits give the mean of the members' probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ext.evaluation.pooling import pool_logits
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

MEMBERS = np.random.default_rng(0).normal(scale=6, size=(4, 30, 3))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_their_softmax_is_the_mean_of_the_softmaxes(temperature):
    powers = np.exp(MEMBERS / temperature)
    expected = (powers / powers.sum(-1, keepdims=True)).mean(0)
    pooled = np.exp(pool_logits(list(MEMBERS), SINGLE_LABEL, temperature=temperature))
    np.testing.assert_allclose(pooled / pooled.sum(-1, keepdims=True), expected, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_their_sigmoid_is_the_mean_of_the_sigmoids(temperature):
    expected = (1 / (1 + np.exp(-MEMBERS / temperature))).mean(0)
    pooled = 1 / (1 + np.exp(-pool_logits(list(MEMBERS), MULTI_LABEL, temperature=temperature)))
    np.testing.assert_allclose(pooled, expected, rtol=1e-12)


def test_numbers_are_averaged():
    np.testing.assert_allclose(pool_logits(list(MEMBERS[..., :1]), REGRESSION), MEMBERS[..., :1].mean(0))


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_sure_members_stay_finite_and_one_member_is_itself(problem_type):
    sure = [np.array([[2000.0, -2000.0]]), np.array([[3000.0, -1000.0]])]
    assert np.isfinite(pool_logits(sure, problem_type)).all()
    alone = pool_logits([MEMBERS[0]], problem_type)
    shift = 0 if problem_type == MULTI_LABEL else (MEMBERS[0] - alone)[:, :1]
    np.testing.assert_allclose(alone + shift, MEMBERS[0], rtol=1e-9)
