"""What hides a token: the shares, equally probable tokens, nothing but the chosen places."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hf_ext.data.pretraining.draws import row_keys
from hf_ext.data.pretraining.replacement import replace_tokens

MASK = 4
VOCABULARY = np.arange(10, 60)
ORIGINAL = 5  # is not in the vocabulary, so that every change shows


def replaced(rows: int = 400, size: int = 250, *, epoch: int = 0) -> np.ndarray:
    tokens = np.full((rows, size), ORIGINAL)
    places = np.arange(tokens.size)
    return replace_tokens(
        tokens, places, row_keys(0, epoch, np.arange(rows)), mask_token_id=MASK, vocabulary=VOCABULARY
    )


def test_eighty_percent_are_masked_ten_are_other_tokens_ten_stay():
    tokens = replaced()
    counts = [(tokens == MASK).sum(), (tokens >= 10).sum(), (tokens == ORIGINAL).sum()]
    assert sum(counts) == tokens.size
    assert stats.chisquare(counts, [80_000, 10_000, 10_000]).pvalue > 1e-4


def test_other_tokens_are_any_of_the_vocabulary_equally_often():
    tokens = replaced()
    counts = np.bincount(tokens[tokens >= 10] - 10, minlength=len(VOCABULARY))
    assert len(counts) == len(VOCABULARY)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_neighbours_are_hidden_independently():
    masked = replaced() == MASK
    assert np.corrcoef(masked[:, 1:].ravel(), masked[:, :-1].ravel())[0, 1] == pytest.approx(0, abs=0.015)
    assert np.corrcoef(masked.ravel(), (replaced(epoch=1) == MASK).ravel())[0, 1] == pytest.approx(0, abs=0.015)


def test_nothing_but_the_chosen_places_changes():
    tokens = np.arange(100, 140).reshape(2, 20)
    before = tokens.copy()
    places = np.array([3, 7, 25])
    seen = replace_tokens(tokens, places, row_keys(0, 0, [0, 1]), mask_token_id=MASK, vocabulary=VOCABULARY)
    assert (tokens == before).all()
    untouched = np.delete(np.arange(40), places)
    assert (seen.ravel()[untouched] == before.ravel()[untouched]).all()
    assert set(seen.ravel()[places]) <= {MASK, *VOCABULARY, *before.ravel()[places]}


def test_what_hides_a_token_does_not_depend_on_the_rest_of_the_batch():
    together = replaced(3, 8)
    wider = np.full((1, 11), ORIGINAL)
    alone = replace_tokens(wider, np.arange(11), row_keys(0, 0, [2]), mask_token_id=MASK, vocabulary=VOCABULARY)
    assert (alone[0, :8] == together[2]).all()
