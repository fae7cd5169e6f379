"""A model that is no PreTrainedModel: what it lacks is said in one line."""

from __future__ import annotations

import pytest
from torch import nn

from hf_ext.training import ExtTrainer


class Bag(nn.Module):
    """A linear layer on mean token vectors."""

    def __init__(self):
        super().__init__()
        self.table, self.output = nn.Embedding(50, 8), nn.Linear(8, 3)

    def forward(self, input_ids, labels=None):
        logits = self.output(self.table(input_ids).mean(1))
        return {"loss": None if labels is None else nn.functional.cross_entropy(logits, labels), "logits": logits}


class BagWithTable(Bag):
    def get_input_embeddings(self):
        return self.table


@pytest.mark.parametrize("method", ["fgm", "fgm_weight"])
def test_a_model_that_does_not_name_its_token_table_cannot_be_attacked(arguments, rows, method):
    with pytest.raises(ValueError, match="token table: give Bag a method get_input_embeddings"):
        ExtTrainer(Bag(), arguments(adversarial=method), train_dataset=rows).train()


def test_one_that_names_it_can(arguments, rows):
    ExtTrainer(BagWithTable(), arguments(adversarial="fgm"), train_dataset=rows).train()


def test_a_model_without_a_config_has_no_labels_to_weigh(arguments, rows):
    with pytest.raises(ValueError, match="--class_weights needs the labels of the model, and Bag has no config"):
        ExtTrainer(Bag(), arguments(class_weights="1,2,3"), train_dataset=rows)
