"""torch.compile with batches of many lengths: loops and free shapes stay out, and the number of graphs stays."""

from __future__ import annotations

import model_factories
import pytest
import tagger_factories
import torch
from masked_models import build_masked_model, masked_batch
from torch._dynamo.testing import CompileCounterWithBackend

from hf_ext.models.masked_head import project_masked_only

LENGTHS = (17, 40, 23, 31)


def build_tagger(decoder):
    config = model_factories.encoder_config("bert")
    config.num_hidden_layers = 1
    return tagger_factories.build(config, decoder=decoder), tagger_factories.batch


def build_masked():
    model = build_masked_model("bert", num_hidden_layers=1)
    project_masked_only(model)
    return model.eval(), masked_batch


@pytest.mark.slow
@pytest.mark.parametrize("build", [lambda: build_tagger("crf"), build_masked], ids=["crf", "masked words"])
def test_no_length_after_the_second_is_compiled_again_and_the_loss_is_the_same(build):
    torch._dynamo.reset()
    model, make_batch = build()
    counter = CompileCounterWithBackend("eager")
    compiled, counts = torch.compile(model, backend=counter), []
    for length in LENGTHS:
        batch = make_batch(4, length)
        loss = compiled(**batch).loss
        torch.testing.assert_close(loss, model(**batch).loss)
        loss.backward()
        counts.append(counter.frame_count)
    assert counts[1] <= 2 * counts[0]  # once for one length, once for all others
    assert counts[1:] == counts[1:2] * (len(LENGTHS) - 1)
