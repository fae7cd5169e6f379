"""WordPlaces: words to the front and back, whatever lies between them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from hf_ext.models.word_vectors import WordPlaces

WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")


class CountWaits(TorchDispatchMode):
    """Count the operations for which the host waits for a device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(func.overloadpacket.__name__ == name for name in WAITS):
            self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


masks = st.integers(1, 4).flatmap(
    lambda rows: st.integers(0, 6).flatmap(
        lambda length: st.lists(
            st.lists(st.integers(0, 1), min_size=length, max_size=length), min_size=rows, max_size=rows
        )
    )
)


@given(masks)
def test_words_stand_in_their_order_at_the_front_as_a_loop_would_put_them(rows):
    mask = torch.tensor(rows).reshape(len(rows), -1)
    values = torch.arange(mask.numel()).reshape(mask.shape)
    places = WordPlaces(mask)
    moved = places.gather(values, fill=-100)
    for i, row in enumerate(rows):
        words = [int(values[i, t]) for t, on in enumerate(row) if on]
        assert moved[i].tolist() == words + [-100] * (len(row) - len(words))
        assert places.mask[i].tolist() == [True] * len(words) + [False] * (len(row) - len(words))


@given(masks)
def test_scatter_undoes_gather_at_the_words_and_fills_the_rest(rows):
    mask = torch.tensor(rows).reshape(len(rows), -1)
    values = torch.randn(*mask.shape, 3)
    places = WordPlaces(mask)
    back = places.scatter(places.gather(values, fill=7.0), fill=-1.0)
    assert torch.equal(back, torch.where(mask.bool().unsqueeze(-1), values, -1.0))


def test_what_is_no_word_passes_on_neither_its_value_nor_a_gradient_even_if_it_is_nan():
    values = torch.tensor([[1.0, float("nan"), 3.0]], requires_grad=True)
    places = WordPlaces(torch.tensor([[1, 0, 1]]))
    moved = places.gather(values, fill=0.0)
    assert moved.tolist() == [[1.0, 3.0, 0.0]]
    (moved**2).sum().backward()
    assert values.grad.tolist() == [[2.0, 0.0, 6.0]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.uint8])
def test_a_mask_may_have_any_kind_of_numbers(dtype):
    assert WordPlaces(torch.tensor([[0, 1, 1]], dtype=dtype)).mask.tolist() == [[True, True, False]]


def test_the_host_never_waits_for_the_device():
    with CountWaits() as counted:
        places = WordPlaces(torch.randint(0, 2, (3, 8)))
        places.scatter(places.gather(torch.randn(3, 8, 2), fill=0.0), fill=0.0)
    assert counted.found == []
    with counted:  # it would have noticed
        bool(places.mask.any())
    assert counted.found
