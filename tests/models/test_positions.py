"""The longest sequence: one token more breaks the encoder; where positions begin."""

from __future__ import annotations

import pytest
import torch
from model_factories import encoder_config, recurrent_config
from transformers import AutoModel

from hf_ext.models.positions import count_positions, first_position


def encode(model, length):
    ids = torch.full((1, length), 7)
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert"])
def test_the_count_is_the_longest_sequence_that_runs(family):
    model = AutoModel.from_config(encoder_config(family)).eval()
    count = count_positions(model)
    assert count is not None
    encode(model, count)
    with pytest.raises((RuntimeError, IndexError)):
        encode(model, count + 1)


@pytest.mark.parametrize("family", ["modernbert", "xlnet"])
def test_computed_positions_have_no_count(family):
    assert count_positions(AutoModel.from_config(encoder_config(family))) is None


def test_models_from_scratch_have_no_count():
    assert count_positions(AutoModel.from_config(recurrent_config())) is None


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert", "modernbert"])
def test_positions_counted_from_the_first_one_are_those_that_the_model_counts(family):
    model = AutoModel.from_config(encoder_config(family)).eval()
    ids = torch.arange(6, 16)[None]
    positions = first_position(model) + torch.arange(10)[None]
    with torch.no_grad():
        expected, found = (model(input_ids=ids, **given)[0] for given in ({}, {"position_ids": positions}))
    assert torch.equal(found, expected)
