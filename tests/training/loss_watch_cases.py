"""A training of which one row is bad, for the tests of the loss watch; ``main`` runs in two processes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch.utils.data import SequentialSampler
from training_models import tiny_bert

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, ExtTrainingArguments

POISON = 39


def bad_rows(bad, count=12):
    """Give rows of one length; those numbered in ``bad`` hold a token whose vector is NaN."""
    generator = torch.Generator().manual_seed(2)
    rows = [{"input_ids": torch.randint(1, POISON, (6,), generator=generator).tolist()} for _ in range(count)]
    for i, row in enumerate(rows):
        row["labels"] = i % 3
        if i in bad:
            row["input_ids"][2] = POISON
    return rows


def poisoned_model(value=math.nan):
    """Build a classifier for which one token gives no finite loss; the weights of all others are fine."""
    model = tiny_bert(vocab_size=POISON + 1)
    vectors = model.bert.embeddings.word_embeddings
    vectors.register_forward_hook(
        lambda module, inputs, output: output.masked_fill((inputs[0] == POISON).unsqueeze(-1), value)
    )
    return model


class InOrder(ExtTrainer):
    """Take the rows in their order, so that a test knows when which comes."""

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)


def main(folder):
    """Train on two processes with one bad row, which the second process gets; all of them must stop."""
    args = ExtTrainingArguments(
        output_dir=folder,
        use_cpu=True,
        disable_tqdm=True,
        per_device_train_batch_size=2,
        max_steps=3,
        save_strategy="steps",
        save_steps=1,
        ddp_timeout=60,
    )
    model = poisoned_model()
    trainer = InOrder(
        model, args, train_dataset=bad_rows([6])
    )  # step 2: process 0 takes rows 4, 5, process 1 rows 6, 7
    rank = torch.distributed.get_rank()
    try:
        trainer.train()
        outcome = "no error"
    except UserError as error:
        outcome = f"{error.rows} {error.alone} {all(p.isfinite().all() for p in model.parameters())} {error}"
    Path(folder, f"outcome-{rank}.txt").write_text(outcome)
    torch.distributed.destroy_process_group()
