"""The CRF against brute force over all sequences, and against torchcrf in float64."""

from __future__ import annotations

import pytest
import torch
from crf_cases import (
    PARAMETERS,
    SHAPES,
    all_paths,
    block_errors,
    brute_likelihood,
    build_case,
    decoding_errors,
    float32_errors,
    likelihood_errors,
    path_scores,
    probability_errors,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.crf_likelihood import find_log_likelihood
from hf_ext.models.crf_marginals import find_chain_probabilities, find_marginals
from hf_ext.models.crf_posterior import Scores, bound_scores
from hf_ext.models.crf_words import find_words

EXACT = 1e-9
thorough = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def cases(draw, forbid=(0.0, 0.0, 0.4, 1.0)):
    return build_case(
        draw(st.integers(0, 2**31)),
        rows=draw(st.integers(1, 3)),
        width=draw(st.integers(1, 5)),
        num_tags=draw(st.integers(1, 4)),
        scale=draw(st.sampled_from([0.1, 1.0, 5.0, 30.0])),
        forbid=draw(st.sampled_from(forbid)),
        drop=draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])),
    )


def assert_exact(errors):
    assert max(errors.values()) <= EXACT, errors


# --- 1200 cases in float64: masks with holes, NaN there, -100, empty rows, forced illegal steps -----------------------


@pytest.mark.slow
@thorough
@given(cases())
def test_likelihood_and_gradient_equal_the_sum_over_all_sequences(case):
    assert_exact(likelihood_errors(case))


@pytest.mark.slow
@thorough
@given(cases())
def test_viterbi_and_n_best_find_what_sorting_all_sequences_finds(case):
    assert_exact(decoding_errors(case))


@pytest.mark.slow
@thorough
@given(cases())
def test_marginals_and_chain_probabilities_equal_the_sum_over_all_sequences(case):
    assert_exact(probability_errors(case))


@pytest.mark.slow
@thorough
@given(cases(forbid=(0.0,)))
def test_recursion_in_blocks_equals_the_sum_over_all_sequences(case):
    assert_exact(block_errors(case))


# --- float32 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_is_at_least_as_near_to_float64_as_torchcrf(shape):
    for name, (theirs, ours, greatest) in float32_errors(*shape).items():
        assert ours <= max(theirs, greatest * 2**-24), name  # or it is one rounding of the exact value


# --- beyond the range of a float64 ------------------------------------------------------------------------------------


def test_a_way_that_one_direction_drops_is_not_lost():
    """Two tags that never meet: the second one is behind by e^1200 in the middle, and ahead at the end."""
    crf = LinearChainCRF(2, batch_first=True).double()
    with torch.no_grad():
        crf.start_transitions.zero_()
        crf.end_transitions.zero_()
        crf.transitions.copy_(torch.tensor([[0.0, -1e5], [-1e5, 0.0]]))
    emissions = torch.zeros(1, 120, 2, dtype=torch.float64)
    emissions[:, :60, 0] = 20.0
    emissions[:, 60:, 1] = 20.05
    tags = torch.ones(1, 120, dtype=torch.long)
    expected = -torch.logsumexp(torch.tensor([60 * 20.0 - 60 * 20.05, 0.0], dtype=torch.float64), 0)
    torch.testing.assert_close(crf(emissions, tags), expected, rtol=0, atol=EXACT)
    probability = crf.marginals(emissions)[0, :, 1]
    torch.testing.assert_close(probability, expected.exp().expand(120), rtol=0, atol=EXACT)


def test_only_rows_that_underflow_go_through_log_space(monkeypatch):
    import hf_ext.models.crf_likelihood as likelihood

    rows_taken = []
    original = likelihood.take_rows

    def take_rows(scores, words, rows):
        rows_taken.append(rows.tolist())
        return original(scores, words, rows)

    monkeypatch.setattr(likelihood, "take_rows", take_rows)
    case = build_case(3, rows=4, width=3, drop=0.0)
    with torch.no_grad():
        case.crf.transitions[:, 0] = -1e4
        case.emissions[2, :, 1:] = -1e5  # only tag 0 is left, which nothing may lead to
    assert_exact(likelihood_errors(case))
    assert rows_taken == [[2]]


def test_bounded_scores_change_nothing_where_a_legal_way_exists():
    case = build_case(5, rows=6, width=5, num_tags=4, forbid=0.25, drop=0.2)
    with torch.no_grad():
        case.crf.start_transitions.clamp_(min=-10.0)
        case.crf.transitions[:, 0] = case.crf.transitions[0] = 0.5
        case.crf.end_transitions.clamp_(min=-10.0)
        case.tags.zero_()
    assert_exact(likelihood_errors(case, bounded=True, blocked=False))
    assert_exact(likelihood_errors(case, bounded=True, blocked=True))


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_bounded_scores_never_underflow(blocked, seed):
    """What CUDA computes where words and transitions contradict one another: brute force on the bounded scores."""
    case = build_case(seed, rows=3, width=5, num_tags=2 + seed % 3, forbid=0.7, drop=0.0)
    words, tags = find_words(case.mask), case.tags.clamp_min(0)
    forbidden = torch.rand(case.emissions.shape, generator=torch.Generator().manual_seed(seed)) < 0.7
    case.emissions[forbidden] = -1e4
    scores = Scores(case.emissions, *(getattr(case.crf, name).detach() for name in PARAMETERS))
    found = find_log_likelihood(scores, tags, words, bounded=True, blocked=blocked)
    bounded = bound_scores(scores)
    with torch.no_grad():
        for name, value in zip(PARAMETERS, bounded[1:], strict=True):
            getattr(case.crf, name).copy_(value)
        expected = brute_likelihood(case.crf, bounded.emissions, tags, case.mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=EXACT)


# --- the recursion in blocks on longer rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 3, 7, 8, 9, 16, 31, 64, 100])
@pytest.mark.parametrize("bounded", [False, True])
def test_blocks_give_what_word_by_word_gives(width, bounded):
    case = build_case(width, rows=5, width=width, num_tags=6, scale=2.0, drop=0.2)
    words = find_words(case.mask & (case.tags >= 0))

    def run(blocked):
        inputs = [case.emissions.clone().requires_grad_()]
        inputs += [parameter.detach().clone().requires_grad_() for parameter in case.crf.parameters()]
        emissions, start, end, transitions = inputs
        scores = Scores(emissions, start, transitions, end)
        likelihood = find_log_likelihood(scores, case.tags, words, blocked=blocked, bounded=bounded)
        (likelihood * torch.arange(1.0, 6.0)).sum().backward()
        return [likelihood.detach(), *(value.grad for value in inputs)]

    for in_blocks, in_line in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(in_blocks, in_line, rtol=0, atol=1e-10)


def test_marginals_in_blocks_are_those_word_by_word():
    case = build_case(1, rows=4, width=50, num_tags=5)
    scores = Scores(case.emissions, *(getattr(case.crf, name).detach() for name in PARAMETERS))
    found = [find_marginals(scores, find_words(case.mask), blocked=blocked) for blocked in (False, True)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


# --- further identities -----------------------------------------------------------------------------------------------


def test_gradcheck_with_holes_and_missing_tags():
    case = build_case(11, rows=3, width=6, num_tags=3)
    case.emissions.nan_to_num_(0.0)

    def likelihood(emissions, start, end, transitions):
        scores = Scores(emissions, start, transitions, end)
        return find_log_likelihood(scores, case.tags, find_words(case.mask & (case.tags >= 0)))

    inputs = [case.emissions, *(parameter.detach() for parameter in case.crf.parameters())]
    assert gradcheck(likelihood, [value.clone().requires_grad_() for value in inputs])


def test_there_is_no_second_derivative():
    case = build_case(2, drop=0.0)
    emissions = case.emissions.requires_grad_()
    likelihood = case.crf(emissions, case.tags, case.mask)
    (gradient,) = torch.autograd.grad(likelihood, emissions, create_graph=True)
    assert not gradient.requires_grad
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    likelihood = case.crf(emissions, case.tags, case.mask)
    (gradient,) = torch.autograd.grad(likelihood, emissions, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_chain_probabilities_multiply_to_the_probability_of_a_span():
    case = build_case(4, rows=1, width=4, num_tags=3, drop=0.0)
    tags = torch.tensor([[0, 2, 1, 1]])
    alone, given_before = case.crf.chain_probabilities(case.emissions, tags)
    paths = all_paths(4, 3)
    chances = torch.softmax(path_scores(case.crf, case.emissions[0], paths), 0).detach()
    for first in range(4):
        for end in range(first + 1, 5):
            inside = (paths[:, first:end] == tags[0, first:end]).all(1)
            product = alone[0, first] * given_before[0, first + 1 : end].prod()
            torch.testing.assert_close(product, chances[inside].sum(), rtol=0, atol=EXACT)


def test_chain_probabilities_of_the_best_tags_multiply_to_their_likelihood():
    case = build_case(9, rows=5, width=30, num_tags=7, scale=3.0)
    tags, _ = case.crf.viterbi_decode(case.emissions, case.mask)
    _, given_before = case.crf.chain_probabilities(case.emissions, tags, case.mask)
    total = torch.where(case.mask, given_before.clamp_min(1e-300).log(), 0.0).sum(1)
    likelihood = case.crf(case.emissions, tags, case.mask, reduction="none").detach()
    torch.testing.assert_close(total, likelihood, rtol=0, atol=EXACT)


def test_unlikely_predecessors_still_have_successors():
    """P(y_t | y_t-1) is defined where the predecessor's tag can only go on through a step of -1e4."""
    case = build_case(0, rows=1, width=3, num_tags=2, drop=0.0)
    with torch.no_grad():
        case.crf.transitions.copy_(torch.tensor([[0.0, -1e6], [-1e4, -1e4]]))
    scores = Scores(case.emissions, *(getattr(case.crf, name).detach() for name in PARAMETERS))
    _, given_before = find_chain_probabilities(scores, torch.tensor([[1, 0, 0]]), find_words(case.mask))
    assert 0.0 < given_before[0, 1] <= 1.0
    assert_exact(probability_errors(case._replace(tags=torch.tensor([[1, 1, 0]]))))
