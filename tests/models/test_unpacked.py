"""Recurrent layers without packing give what packing gives, and padding reaches nothing."""

from __future__ import annotations

import pytest
import torch

from hf_ext.models.packing import build_rnn, run_packed
from hf_ext.models.unpacked import run_unpacked

LENGTHS = torch.tensor([6, 3, 1, 0, 6])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_states_and_last_states_are_those_of_packing(kind, layers):
    torch.manual_seed(0)
    rnn = build_rnn(kind, 5, 4, num_layers=layers, dropout=0.0).double().eval()
    inputs = torch.randn(len(LENGTHS), 6, 5, dtype=torch.float64)
    real = torch.arange(6) < LENGTHS[:, None]
    expected, expected_last = run_packed(rnn, inputs, real.long())
    states, last = run_unpacked(rnn, inputs, LENGTHS)
    torch.testing.assert_close(states[real], expected[real], rtol=0, atol=1e-12)
    some = LENGTHS > 0
    torch.testing.assert_close(last[some], expected_last[some], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_what_stands_in_the_padding_does_not_matter(kind):
    torch.manual_seed(0)
    rnn = build_rnn(kind, 5, 4, num_layers=2, dropout=0.0).eval()
    inputs = torch.randn(len(LENGTHS), 6, 5)
    real = torch.arange(6) < LENGTHS[:, None]
    changed = torch.where(real.unsqueeze(-1), inputs, 99.0)
    (states, last), (others, other_last) = (run_unpacked(rnn, values, LENGTHS) for values in (inputs, changed))
    assert torch.equal(states[real], others[real])
    assert torch.equal(last[LENGTHS > 0], other_last[LENGTHS > 0])
