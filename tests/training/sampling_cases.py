"""Balanced draws seen by each process, uninterrupted and resumed; ``main`` runs in two processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from training_models import tiny_bert

from hf_ext.training import ExtTrainer, ExtTrainingArguments

LABELS = [0] * 8 + [1] * 3 + [2]
ROWS = [{"input_ids": [1 + i, 20 + i, 3], "labels": label} for i, label in enumerate(LABELS)]
LAST_STEP = 8
SAVED_STEPS = (3, 5)  # with 12 rows, and 4 a step on all processes, the end of an epoch and the middle of one


class Recording(ExtTrainer):
    """Write down which rows this process sees, batch by batch."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.seen.append((inputs["input_ids"][:, 0] - 1).tolist())
        return super().training_step(model, inputs, num_items_in_batch)


def train(folder, processes, resume_at=None):
    """Train from the start or from a saved step; give (rows of each batch, all weights as one vector)."""
    args = ExtTrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        disable_tqdm=True,
        max_steps=LAST_STEP,
        save_strategy="steps",
        save_steps=1,
        per_device_train_batch_size=4 // processes,
        learning_rate=1e-2,
        weighted_sampling=True,
        seed=7,
        overwrite_output_dir=True,
    )
    model = tiny_bert()  # with dropout: a wrong random state would show
    trainer = Recording(model, args, train_dataset=ROWS)
    trainer.seen = []
    trainer.train(resume_from_checkpoint=None if resume_at is None else str(Path(folder) / f"checkpoint-{resume_at}"))
    return trainer.seen, torch.cat([p.detach().flatten() for p in model.parameters()])


def main(folder):
    """Train, resume from each saved step, and let every process write what it found."""
    rank = int(os.environ["RANK"])
    seen, weights = train(Path(folder) / "run", processes=2)
    found = {"seen": seen, "resumed": {}, "equal": {}}
    for step in SAVED_STEPS:
        resumed, others = train(Path(folder) / "run", processes=2, resume_at=step)
        found["resumed"][step], found["equal"][step] = resumed, torch.equal(weights, others)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()
