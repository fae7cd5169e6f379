"""Answers read off a batch of logits: the same decisions as ever, probabilities in half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_ext.evaluation.answers import Answers, answer_batch
from hf_ext.evaluation.reports import write_answers
from hf_ext.models.schema import MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL, LabelSchema


def make_logits(problem_type, count=50):
    width = 1 if problem_type == REGRESSION else 4
    return torch.tensor(np.random.default_rng(0).normal(0, 4, size=(count, width)).astype(np.float32))


def numpify(batch):
    return {name: value.numpy() for name, value in batch.items()}


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_batches_give_the_answers_of_all_logits(problem_type):
    logits = make_logits(problem_type)
    found = Answers.from_batches([numpify(answer_batch(part, problem_type)) for part in logits.split(8)])
    expected = Answers.from_logits(logits.numpy(), problem_type)
    np.testing.assert_array_equal(found.decisions, expected.decisions)
    assert len(found) == 50
    assert found.logits is None
    if problem_type == REGRESSION:
        assert found.probabilities is None
        return
    assert found.probabilities.dtype == np.float16
    np.testing.assert_array_equal(found.probabilities, expected.probabilities.astype(np.float16))
    if problem_type == SINGLE_LABEL:
        assert found.score.dtype == np.float32
        np.testing.assert_allclose(found.score, expected.probabilities.max(1), rtol=1e-7)


@pytest.mark.parametrize(("problem_type", "bytes_a_row"), [(SINGLE_LABEL, 8 + 4 + 8), (MULTI_LABEL, 4 + 8)])
def test_a_row_takes_two_bytes_a_label_and_its_logits_only_if_asked_for(problem_type, bytes_a_row):
    logits = make_logits(problem_type)
    assert sum(value.nbytes for value in answer_batch(logits, problem_type).values()) == 50 * bytes_a_row
    assert torch.equal(answer_batch((logits, None), problem_type, keep_logits=True)["logits"], logits)


def test_decisions_are_not_those_of_rounded_probabilities():
    close = torch.tensor([[0.0, 1e-5, 0.0]])
    assert answer_batch(close, SINGLE_LABEL)["decisions"].tolist() == [1]
    below = answer_batch(torch.tensor([[-1e-5, 0.0]]), MULTI_LABEL)
    assert below["decisions"].tolist() == [[0, 1]]
    assert below["probabilities"].tolist() == [[0.5, 0.5]]


def test_a_tie_goes_to_the_first_label():
    assert answer_batch(torch.tensor([[0.0, 2.0, 2.0]]), SINGLE_LABEL)["decisions"].tolist() == [1]


def test_sure_answers_are_told_apart_by_their_score(tmp_path):
    answers = Answers(**numpify(answer_batch(torch.tensor([[9.0, 0.0], [11.0, 0.0]]), SINGLE_LABEL)))
    assert answers.probabilities[0, 0] == answers.probabilities[1, 0] == 1.0
    write_answers(tmp_path, labels=LabelSchema(names=("a", "b")), answers=answers, ids=[0, 1], columns={})
    rows = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1] == "0,a,0.999877,1,0.0001234"  # as many digits as each of them has
    assert rows[2] == "1,a,0.999983,1,1.67e-05"


def test_logits_of_two_bytes_are_read_as_float32():
    logits = make_logits(SINGLE_LABEL).bfloat16()
    found = answer_batch(logits, SINGLE_LABEL, keep_logits=True)
    assert found["logits"].dtype == torch.float32
    assert torch.equal(found["decisions"], logits.float().argmax(-1))
