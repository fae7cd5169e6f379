"""Where tokens go without padding: against plain loops."""

from __future__ import annotations

import itertools

import pytest
import torch

from hf_ext.models import token_layout
from hf_ext.models.token_layout import CALL, TokenLayout, cut_by_length

MASKS = {
    "right": [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]],
    "left": [[0, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]],
    "an empty row": [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]],
    "a hole": [[1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]],
    "one token": [[1, 0, 0, 0]],
}


def make_layout(name, **settings):
    mask = torch.tensor(MASKS[name]).bool()
    return TokenLayout(mask, mask.reshape(-1).nonzero().squeeze(1), **settings), mask


@pytest.fixture(params=MASKS)
def layout_and_mask(request):
    return make_layout(request.param)


def test_tokens_stand_text_after_text(layout_and_mask):
    layout, mask = layout_and_mask
    states = torch.randn(*mask.shape, 2)
    expected = [states[b, t] for b in range(len(mask)) for t in range(mask.shape[1]) if mask[b, t]]
    assert torch.equal(layout.flatten(states)[0], torch.stack(expected))


def test_what_all_texts_share_is_laid_out_for_each(layout_and_mask):
    layout, mask = layout_and_mask
    table = torch.randn(1, mask.shape[1], 2)
    assert torch.equal(layout.flatten(table), layout.flatten(table.repeat(len(mask), 1, 1)))


def test_tokens_come_back_to_their_places_among_zeros(layout_and_mask):
    layout, mask = layout_and_mask
    states = torch.randn(*mask.shape, 2)
    assert torch.equal(layout.unflatten(layout.flatten(states)), states * mask[:, :, None])


def test_boundaries_lie_between_the_texts(layout_and_mask):
    layout, mask = layout_and_mask
    assert layout.boundaries.tolist() == [0, *itertools.accumulate(mask.sum(1).tolist())]
    assert layout.boundaries.dtype is torch.int32


@pytest.mark.parametrize("call", [0, CALL])  # a rectangle for every length, one for all
def test_every_token_has_one_place_beside_the_others_of_its_text(layout_and_mask, call, monkeypatch):
    monkeypatch.setattr(token_layout, "CALL", call)
    layout, mask = layout_and_mask
    buckets, tokens, places = layout.buckets()
    texts = [text for text, row in enumerate(mask) for seen in row if seen]  # of each token
    assert tokens[places].tolist() == list(range(len(texts)))
    assert len(tokens) == sum(bucket.rows * bucket.length for bucket in buckets)
    rows = []
    for bucket, part in zip(buckets, tokens.split([each.rows * each.length for each in buckets]), strict=True):
        real = torch.ones(bucket.rows, bucket.length).bool() if bucket.mask is None else bucket.mask[:, 0, 0]
        rows += [part.view(bucket.rows, -1)[row][real[row]].tolist() for row in range(bucket.rows)]
    by_text = [[token for token, text in enumerate(texts) if text == wanted] for wanted in sorted(set(texts))]
    assert sorted(rows) == by_text


def test_texts_of_one_length_need_no_mask(monkeypatch):
    monkeypatch.setattr(token_layout, "CALL", 0)
    assert all(bucket.mask is None for bucket in make_layout("right")[0].buckets()[0])


def test_a_window_is_seen_to_both_sides():
    layout, _ = make_layout("right", window=1)
    (bucket,) = layout.buckets()[0]
    steps = range(bucket.length)
    lengths = [4, 3, 1]
    expected = [[[key < n and abs(query - key) <= 1 for key in steps] for query in steps] for n in lengths]
    assert torch.equal(bucket.mask[:, 0], torch.tensor(expected))


def test_a_window_wider_than_the_texts_is_none():
    assert make_layout("right", window=3)[0].buckets()[0][0].mask.shape == (3, 1, 1, 4)


def cost(lengths, cuts):
    bounds = [0, *cuts, len(lengths)]
    return sum(CALL + (end - start) * lengths[start] ** 2 for start, end in itertools.pairwise(bounds))


@pytest.mark.parametrize("lengths", [[302, 200, 120, 90, 90, 60, 20], [40, 30, 22, 20, 8], [500] * 4, [3], [1000, 1]])
def test_no_other_cut_costs_less(lengths):
    inner = range(1, len(lengths))
    every = [cuts for count in range(len(lengths)) for cuts in itertools.combinations(inner, count)]
    assert cost(lengths, cut_by_length(lengths)) == min(cost(lengths, cuts) for cuts in every)


def test_nothing_is_cut_out_of_no_texts():
    assert cut_by_length([]) == []
