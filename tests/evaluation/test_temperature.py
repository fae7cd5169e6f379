"""The temperature is that of the likeliest probabilities: its neighbours are less likely, and a known one is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from hf_ext.evaluation.answers import Answers, answer_batch
from hf_ext.evaluation.decision_rule import DecisionRule, forget_rule
from hf_ext.evaluation.temperature import COLDEST, HOTTEST, calibration_error, fit_temperature, mean_surprise
from hf_ext.models.schema import MULTI_LABEL, SINGLE_LABEL

TRUE = 2.5


def rows(problem_type: str):
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (4000, 3))
    if problem_type == MULTI_LABEL:
        truth = (draw.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    else:
        truth = (logits + draw.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * TRUE, truth


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_a_known_temperature_is_found_and_its_neighbours_are_worse(problem_type):
    logits, truth = rows(problem_type)
    found = fit_temperature(logits, truth, problem_type)
    assert found == pytest.approx(TRUE, rel=0.05)
    least = mean_surprise(logits, truth, problem_type, temperature=found)
    for factor in (0.5, 0.99, 0.9999, 1.0001, 1.01, 2):
        assert mean_surprise(logits, truth, problem_type, temperature=found * factor) >= least
    before = calibration_error(logits, truth, problem_type)
    assert calibration_error(logits, truth, problem_type, temperature=found) < 0.03 < before


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_the_surprise_is_the_loss_of_torch(problem_type):
    logits, truth = rows(problem_type)
    loss = binary_cross_entropy_with_logits if problem_type == MULTI_LABEL else cross_entropy
    expected = loss(torch.tensor(logits) / 1.7, torch.tensor(truth))
    assert mean_surprise(logits, truth, problem_type, temperature=1.7) == pytest.approx(expected.item(), rel=1e-12)


def test_rows_without_any_mistake_and_without_any_sense_end_at_the_bounds():
    sure = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert fit_temperature(sure, [0, 1], SINGLE_LABEL) == pytest.approx(COLDEST)
    assert fit_temperature(sure, [1, 0], SINGLE_LABEL) == pytest.approx(HOTTEST)


@pytest.mark.parametrize(
    ("problem_type", "rule", "width"),
    [
        (SINGLE_LABEL, DecisionRule(1.9), 3),
        (SINGLE_LABEL, DecisionRule(1.9, (0.3,)), 2),
        (MULTI_LABEL, DecisionRule(0.7, (0.2, 0.5, 0.8)), 3),
    ],
)
def test_a_rule_holds_for_batches_as_for_all_rows(problem_type, rule, width):
    logits = torch.randn(50, width, generator=torch.Generator().manual_seed(1)) * 2
    whole = Answers.from_logits(logits.numpy(), problem_type, rule)
    batch = answer_batch(logits, problem_type, rule=rule)
    np.testing.assert_array_equal(batch["decisions"], whole.decisions)
    np.testing.assert_allclose(batch["probabilities"], whole.probabilities, atol=1e-3)
    scaled = logits.double() / rule.temperature
    chances = scaled.sigmoid() if problem_type == MULTI_LABEL else scaled.softmax(-1)
    if rule.thresholds:
        side = chances if problem_type == MULTI_LABEL else chances[:, 1]
        expected = side >= torch.tensor(rule.thresholds).double()
        assert not torch.equal(expected, side >= 0.5)
    else:
        expected = chances.argmax(-1)
    np.testing.assert_array_equal(whole.decisions, expected.int())


def test_a_config_keeps_the_rule_and_training_forgets_it():
    from transformers import BertConfig

    rule = DecisionRule(1.25, (0.4, 0.6))
    config = BertConfig(decision_rule=rule.stored)
    assert DecisionRule.from_config(BertConfig.from_dict(config.to_dict())) == rule
    forget_rule(config)
    forget_rule(config)
    assert DecisionRule.from_config(config) == DecisionRule()
    for wrong in ({"temperature": 0.0}, {"thresholds": (1.5,)}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must"):
            DecisionRule(**wrong)
