"""SoftmaxDecoder: a CRF whose transitions are all zero."""

from __future__ import annotations

import pytest
import torch
from torchcrf import CRF

from hf_ext.models.softmax_decoder import SoftmaxDecoder


def inputs():
    torch.manual_seed(0)
    emissions = torch.randn(3, 5, 4, dtype=torch.double)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]).bool()
    return emissions, torch.randint(0, 4, (3, 5)), mask


def plain_crf():
    crf = CRF(4, batch_first=True).double()
    for weight in crf.parameters():
        torch.nn.init.zeros_(weight)
    return crf


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_likelihood_is_that_of_a_crf_without_transitions(reduction):
    emissions, tags, mask = inputs()
    expected = plain_crf()(emissions, tags, mask=mask, reduction=reduction)
    torch.testing.assert_close(SoftmaxDecoder()(emissions, tags.masked_fill(~mask, -100), mask, reduction), expected)


def test_unlabelled_words_leave_the_likelihood():
    emissions, tags, mask = inputs()
    tags[0, 2] = -100
    each = emissions.log_softmax(-1)
    expected = sum(each[b, t, tags[b, t]] for b in range(3) for t in range(5) if mask[b, t] and (b, t) != (0, 2))
    torch.testing.assert_close(SoftmaxDecoder()(emissions, tags, mask), expected)


def test_tags_are_those_of_a_crf_without_transitions_and_carry_their_score():
    emissions, _, mask = inputs()
    tags, scores = SoftmaxDecoder().viterbi_decode(emissions, mask)
    for row, path in enumerate(plain_crf().decode(emissions, mask=mask)):
        assert tags[row].tolist() == path + [-100] * (5 - len(path))
        torch.testing.assert_close(scores[row], sum(emissions[row, t, tag] for t, tag in enumerate(path)))


def test_probabilities_are_the_softmax_of_the_tags_and_zero_where_there_is_no_word():
    emissions, tags, mask = inputs()
    alone, chained = SoftmaxDecoder().chain_probabilities(emissions, tags, mask)
    assert torch.equal(alone, chained)
    for b in range(3):
        for t in range(5):
            expected = emissions[b, t].exp()[tags[b, t]] / emissions[b, t].exp().sum() if mask[b, t] else 0.0
            assert alone[b, t].item() == pytest.approx(float(expected), rel=1e-12)


def test_other_reductions_are_refused():
    with pytest.raises(ValueError, match="must be sum or none, got 'mean'"):
        SoftmaxDecoder()(*inputs(), reduction="mean")
