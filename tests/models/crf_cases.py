"""Random CRF cases and what brute force over all tag sequences says about them.

``python tests/models/crf_cases.py --table`` prints the worst errors by quantity, as Markdown.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import NamedTuple

import torch
from torchcrf import CRF

from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.crf_likelihood import find_log_likelihood
from hf_ext.models.crf_marginals import find_marginals
from hf_ext.models.crf_posterior import Scores
from hf_ext.models.crf_words import find_words

SHAPES = [(4, 1, 5, 1.0), (5, 2, 5, 1.0), (8, 37, 9, 1.0), (32, 128, 9, 3.0), (8, 256, 31, 10.0), (4, 100, 61, 30.0)]
PARAMETERS = ("start_transitions", "transitions", "end_transitions")
N_BEST = 5


class Case(NamedTuple):
    """One CRF in float64 and one batch."""

    crf: LinearChainCRF
    emissions: torch.Tensor
    tags: torch.Tensor
    mask: torch.Tensor


def build_case(seed, *, rows=2, width=4, num_tags=3, scale=1.0, forbid=0.0, drop=0.3):
    """Draw a case: any mask with the chance ``drop`` of a hole, NaN at holes, -100 here and there, -1e4 transitions."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64) * scale

    crf = LinearChainCRF(num_tags, batch_first=True).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(normal(*parameter.shape))
            parameter[torch.rand(parameter.shape, generator=draw) < forbid] = -1e4
    mask = torch.rand(rows, width, generator=draw) >= drop
    emissions = normal(rows, width, num_tags)
    emissions[~mask] = float("nan")
    tags = torch.randint(num_tags, (rows, width), generator=draw)
    tags[torch.rand(rows, width, generator=draw) < drop / 3] = -100
    return Case(crf, emissions, tags, mask)


# --- brute force ------------------------------------------------------------------------------------------------------


def all_paths(words, num_tags):
    """Give every tag sequence of a length, ``(K ** words, words)``."""
    return torch.tensor(list(product(range(num_tags), repeat=words)), dtype=torch.long).view(num_tags**words, words)


def path_scores(crf, emissions, paths):
    """Score tag sequences by the definition; emissions ``(words, K)``, paths ``(N, words)``."""
    if paths.shape[1] == 0:
        return 0.0 * crf.start_transitions.sum() * torch.ones(len(paths))  # keeps autograd's thread
    total = crf.start_transitions[paths[:, 0]] + crf.end_transitions[paths[:, -1]]
    for t in range(paths.shape[1]):
        total = total + emissions[t, paths[:, t]]
        if t > 0:
            total = total + crf.transitions[paths[:, t - 1], paths[:, t]]
    return total


def brute_likelihood(crf, emissions, tags, mask):
    """Give the log-likelihood of each row, differentiable; words without a tag are left out."""
    found = []
    for row_emissions, row_tags, row_mask in zip(emissions, tags, mask & (tags >= 0), strict=True):
        words = row_emissions[row_mask]
        scores = path_scores(crf, words, all_paths(len(words), crf.num_tags))
        own = path_scores(crf, words, row_tags[row_mask].unsqueeze(0))[0]
        found.append(own - torch.logsumexp(scores, 0))
    return torch.stack(found)


@torch.no_grad()
def brute_marginals(crf, emissions, mask):
    """Give the probability of each tag at each word, ``(B, T, K)``."""
    found = torch.zeros_like(emissions)
    for row in range(len(mask)):
        words = emissions[row][mask[row]]
        paths = all_paths(len(words), crf.num_tags)
        chances = torch.softmax(path_scores(crf, words, paths), 0)
        each = [[chances[paths[:, t] == k].sum() for k in range(crf.num_tags)] for t in range(len(words))]
        found[row][mask[row]] = torch.tensor(each, dtype=emissions.dtype).view(-1, crf.num_tags)
    return found


@torch.no_grad()
def brute_chain(crf, emissions, tags, mask):
    """Give ``P(y_t)`` and ``P(y_t | y_{t-1})``, ``(B, T)``; words without a tag are left out."""
    alone, given = torch.zeros(tags.shape, dtype=emissions.dtype), torch.zeros(tags.shape, dtype=emissions.dtype)
    kept = mask & (tags >= 0)
    for row in range(len(tags)):
        words, chosen = emissions[row][kept[row]], tags[row][kept[row]]
        paths = all_paths(len(words), crf.num_tags)
        scores = path_scores(crf, words, paths)
        for t, position in enumerate(kept[row].nonzero().flatten()):
            here = paths[:, t] == chosen[t]
            alone[row, position] = torch.softmax(scores, 0)[here].sum()
            after = paths[:, t - 1] == chosen[t - 1] if t else torch.ones_like(here)
            given[row, position] = (scores[here & after].logsumexp(0) - scores[after].logsumexp(0)).exp()
    return alone, given


@torch.no_grad()
def brute_best(crf, emissions, mask, n):
    """Give the n best scores of each row, ``(B, n)``, -inf where there are fewer sequences."""
    found = torch.full((len(mask), n), float("-inf"), dtype=emissions.dtype)
    for row in range(len(mask)):
        words = emissions[row][mask[row]]
        scores = path_scores(crf, words, all_paths(len(words), crf.num_tags)).sort(descending=True).values[:n]
        found[row, : len(scores)] = scores
    return found


# --- errors -----------------------------------------------------------------------------------------------------------


def gradients(likelihood, case, weights):
    """Give the gradients of the weighted likelihoods by name, zeros where there is none."""
    inputs = {"emissions": case.emissions.requires_grad_()} | dict(case.crf.named_parameters())
    found = torch.autograd.grad((likelihood * weights).sum(), list(inputs.values()), allow_unused=True)
    case.emissions.requires_grad_(False)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(inputs.items(), found, strict=True)
    }


def likelihood_errors(case, **settings):
    """Compare likelihood and gradient with brute force; settings go to ``find_log_likelihood``."""
    weights = torch.linspace(0.5, 2.0, len(case.tags), dtype=torch.float64)

    def ours():
        crf = case.crf
        if not settings:
            return crf(case.emissions, case.tags, case.mask, reduction="none")
        scores = Scores(case.emissions, *(getattr(crf, name) for name in PARAMETERS))
        return find_log_likelihood(scores, case.tags, find_words(case.mask & (case.tags >= 0)), **settings)

    case.emissions.requires_grad_()
    found, expected = ours(), brute_likelihood(case.crf, case.emissions, case.tags, case.mask)
    found_gradients, gradients_expected = gradients(found, case, weights), gradients(expected, case, weights)
    errors = {
        f"gradient, {name}": distance(found_gradients[name], gradients_expected[name]) for name in found_gradients
    }
    return {"log-likelihood": distance(found, expected), **errors}


def decoding_errors(case):
    """Compare Viterbi and n-best with brute force: their scores, and what their tags really score."""
    expected = brute_best(case.crf, case.emissions, case.mask, N_BEST)
    tags, scores = case.crf.viterbi_decode(case.emissions, case.mask)
    many, many_scores = case.crf.n_best(case.emissions, N_BEST, case.mask)
    real = torch.full_like(expected, float("-inf"))
    for row, each in enumerate(many):
        exists = torch.isfinite(many_scores[row])
        paths = each[exists][:, case.mask[row]]
        assert len(set(map(tuple, paths.tolist()))) == len(paths), "a sequence came twice"
        real[row][exists] = path_scores(case.crf, case.emissions[row][case.mask[row]], paths)
    best = torch.cat(
        [
            path_scores(case.crf, words[mask], path[mask].unsqueeze(0))
            for words, mask, path in zip(case.emissions, case.mask, tags, strict=True)
        ]
    )
    return {
        "Viterbi score": distance(scores, expected[:, 0]),
        "score of the Viterbi tags": distance(best, expected[:, 0]),
        "n-best scores": distance(many_scores, expected),
        "scores of the n-best tags": distance(real, expected),
    }


def probability_errors(case):
    """Compare marginals and chain probabilities with brute force."""
    alone, given = case.crf.chain_probabilities(case.emissions, case.tags, case.mask)
    alone_expected, given_expected = brute_chain(case.crf, case.emissions, case.tags, case.mask)
    marginals = case.crf.marginals(case.emissions, case.mask)
    return {
        "marginals": distance(marginals, brute_marginals(case.crf, case.emissions, case.mask)),
        "P(y_t)": distance(alone, alone_expected),
        "P(y_t | y_t-1)": distance(given, given_expected),
    }


def block_errors(case):
    """Compare the recursion in blocks with brute force, and its marginals."""
    crf = case.crf
    scores = Scores(case.emissions, *(getattr(crf, name).detach() for name in PARAMETERS))
    marginals = find_marginals(scores, find_words(case.mask), blocked=True, bounded=False)
    errors = likelihood_errors(case, blocked=True, bounded=False)
    errors["marginals"] = distance(marginals, brute_marginals(crf, case.emissions, case.mask))
    return {f"in blocks: {name}": error for name, error in errors.items()}


def distance(found, expected):
    """Give the greatest difference; equal infinities do not differ, a NaN is infinitely far."""
    found, expected = found.detach(), expected.detach()
    difference = torch.where(found == expected, 0.0, (found - expected).abs())
    return float(difference.nan_to_num(nan=float("inf")).max()) if difference.numel() else 0.0


# --- float32 ----------------------------------------------------------------------------------------------------------


def float32_errors(rows, width, num_tags, scale):
    """Give the errors in float32 of torchcrf and of ours, against torchcrf in float64, by quantity.

    Also gives the greatest value of each quantity, which says what one rounding is.
    """
    torch.manual_seed(0)
    reference = CRF(num_tags, batch_first=True).double()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(3 * scale)
        if scale == 3.0:  # as someone does who forbids steps by hand
            reference.transitions[1, 2] = reference.start_transitions[3] = -1e4
        for parameter in reference.parameters():
            parameter.copy_(parameter.float())
    emissions = (torch.randn(rows, width, num_tags) * scale).double()
    tags = torch.randint(4, num_tags, (rows, width))
    lengths = torch.randint(1, width + 1, (rows, 1))
    lengths[0] = width
    mask, weights = torch.arange(width) < lengths, torch.rand(rows)

    def measure(crf, dtype):
        crf.load_state_dict(reference.state_dict())
        crf, given = crf.to(dtype), emissions.to(dtype).detach().clone().requires_grad_()
        likelihood = crf(given, tags, mask, reduction="none")
        (likelihood * weights.to(dtype)).sum().backward()
        found = {"log-likelihood": likelihood.detach(), "gradient, emissions": given.grad}
        for name, parameter in crf.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            found[f"gradient, {name}"] = gradient
        return found

    exact = measure(CRF(num_tags, batch_first=True), torch.float64)
    theirs = measure(CRF(num_tags, batch_first=True), torch.float32)
    ours = measure(LinearChainCRF(num_tags, batch_first=True), torch.float32)
    return {
        name: (distance(theirs[name], value), distance(ours[name], value), float(value.abs().max()))
        for name, value in exact.items()
    }


def print_table(cases=400):
    """Print both tables."""
    torch.set_num_threads(1)
    worst = {}
    for seed in range(cases):
        draw = torch.Generator().manual_seed(seed)
        rows, width, num_tags = (int(torch.randint(1, top, (), generator=draw)) for top in (4, 6, 5))
        scale, forbid = ((0.3, 0.0), (1.0, 0.0), (10.0, 0.0), (1.0, 0.4), (3.0, 1.0))[seed % 5]
        case = build_case(seed, rows=rows, width=width, num_tags=num_tags, scale=scale, forbid=forbid)
        for errors in (likelihood_errors, decoding_errors, probability_errors, block_errors):
            if errors is block_errors and forbid:
                continue  # what blocks run on is bounded
            for name, error in errors(case).items():
                worst[name] = max(worst.get(name, 0.0), error)
    lines = [f"{cases} cases against all sequences, float64", "", "| quantity | worst error |", "|---|---|"]
    lines += [f"| {name} | {error:.1e} |" for name, error in worst.items()]
    lines += ["", "Float32 against float64", "", "| B, T, K, scale | quantity | torchcrf | ours |", "|---|---|---|---|"]
    for shape in SHAPES:
        for name, (theirs, ours, _) in float32_errors(*shape).items():
            lines.append(f"| {', '.join(f'{part:g}' for part in shape)} | {name} | {theirs:.1e} | {ours:.1e} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    print_table()
