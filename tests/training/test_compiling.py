"""torch.compile with batches of many lengths: few graphs, the same loss."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import BertConfig, BertForSequenceClassification


@pytest.mark.slow
def test_batches_of_many_lengths_are_compiled_twice_and_give_the_same_loss():
    torch._dynamo.reset()
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=8)).eval()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, backend=counter)
    for length in (17, 40, 23, 64, 70, 128, 12):
        batch = {"input_ids": torch.randint(1, 30, (4, length)), "labels": torch.zeros(4, dtype=torch.long)}
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        batch["attention_mask"][1, 5:] = 0
        torch.testing.assert_close(compiled(**batch).loss, model(**batch).loss)
    assert counter.frame_count == 2  # one for the first length, one for all others
