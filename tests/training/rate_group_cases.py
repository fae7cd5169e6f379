"""Resume with learning-rate groups; ``main`` runs in two processes."""

from __future__ import annotations

import json
import logging

import torch
import torch.distributed as dist
from training_models import tiny_bert

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, ExtTrainingArguments

FLAGS = {"learning_rate": 1e-3, "head_learning_rate": 7e-3, "layerwise_lr_decay": 0.5, "weight_decay": 0.01}


def train(folder, checkpoint=None, **changes):
    """Train four steps, with checkpoints, perhaps from one."""
    rows = [{"input_ids": [1 + i, 2, 3 + i], "labels": i % 3} for i in range(16)]
    settings = {"use_cpu": True, "disable_tqdm": True, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    model = tiny_bert()
    args = ExtTrainingArguments(output_dir=folder, per_device_train_batch_size=2, **{**settings, **FLAGS, **changes})
    ExtTrainer(model, args, train_dataset=rows).train(resume_from_checkpoint=checkpoint)
    return model


class Count(logging.Handler):
    """Count the tables that a process shows."""

    tables = 0

    def emit(self, record):
        self.tables += "groups:" in record.getMessage()


def main(folder):
    """Compare a resumed run with a whole one, and try to resume with another rate."""
    count = Count()
    logging.getLogger("hf_ext").addHandler(count)
    logging.getLogger("hf_ext").setLevel(logging.INFO)
    whole = train(str(folder / "out"))
    tables = count.tables
    checkpoint = str(folder / "out" / "checkpoint-2")
    resumed = train(str(folder / "again"), checkpoint)
    equal = all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    error = ""
    try:
        train(str(folder / "third"), checkpoint, head_learning_rate=0.5)
    except UserError as caught:
        error = str(caught)
    gathered = [None, None]
    dist.all_gather_object(gathered, (equal, error, tables))
    if dist.get_rank() == 0:
        names = ("equal", "errors", "tables")
        found = {name: [one[i] for one in gathered] for i, name in enumerate(names)}
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
    dist.barrier()  # neither leaves while the other still writes
    dist.destroy_process_group()
