"""Documents of a row apart: numbers, positions and masks, each against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_ext.data.pretraining.isolation import mask_documents, number_documents, number_positions, sum_documents

LENGTHS, COUNTS = np.array([3, 2, 6, 1, 1, 1]), np.array([2, 1, 3])  # of three rows
SIZE = 7


def documents() -> np.ndarray:
    return number_documents(LENGTHS, COUNTS, SIZE)


def test_tokens_know_their_document():
    assert documents().tolist() == [
        [0, 0, 0, 1, 1, -1, -1],
        [0, 0, 0, 0, 0, 0, -1],
        [0, 1, 2, -1, -1, -1, -1],
    ]


def test_rows_may_be_full():
    assert number_documents(np.array([2, 1]), np.array([2]), 3).tolist() == [[0, 0, 1]]


def test_documents_are_summed_by_row_and_a_row_may_have_none():
    assert sum_documents(LENGTHS, COUNTS).tolist() == [5, 6, 3]
    assert sum_documents(np.array([4, 1]), np.array([0, 2, 0])).tolist() == [0, 5, 0]


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("left", [False, True])
def test_positions_begin_anew_in_every_document(offset, left):
    numbers = documents()[:, ::-1] if left else documents()
    positions = number_positions(numbers, offset=offset)
    for row in range(3):
        for column in range(SIZE):
            document = numbers[row, column]
            before = (numbers[row, :column] == document).sum()
            assert positions[row, column] == (0 if document == -1 else before + offset)


def test_a_token_sees_its_own_document_and_padding_sees_padding():
    numbers = documents()
    mask = mask_documents(numbers)
    assert mask.shape == (3, 1, SIZE, SIZE)
    for row, query, key in np.ndindex(3, SIZE, SIZE):
        assert mask[row, 0, query, key] == (numbers[row, query] == numbers[row, key])


def test_no_token_is_left_without_anything_to_see():
    mask = torch.from_numpy(mask_documents(documents()))
    states = torch.randn(3, 1, SIZE, 4)
    attended = torch.nn.functional.scaled_dot_product_attention(states, states, states, attn_mask=mask)
    assert attended.isfinite().all()
