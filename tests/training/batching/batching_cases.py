"""Rows of many lengths, trained on and predicted by each process; ``main`` runs in two processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from loss_scale_cases import CatchGradient, build_model
from safetensors.torch import save_file
from training_models import tiny_bert

from hf_ext.training import ExtTrainer, ExtTrainingArguments

LENGTHS = [3, 9, 4, 12, 7, 3, 5, 10, 8, 4, 6, 3, 11, 5, 9, 4, 7, 12, 3, 6, 8, 5, 4]  # 23 rows
LAST_STEP = 14
SAVED_STEPS = (3, 9)  # in the middle of an epoch and of a later one, for every strategy below
STRATEGIES = {
    "group": {"length_strategy": "group"},
    "budget": {"length_strategy": "budget", "tokens_per_batch": 24},
}


def build_rows(*, holes=True):
    """Give rows whose first token tells their number; with holes, some without a label."""
    generator = torch.Generator().manual_seed(6)
    rows = []
    for i, length in enumerate(LENGTHS):
        tokens = torch.randint(1, 40, (length - 1,), generator=generator).tolist()
        rows.append({"input_ids": [1 + i, *tokens], "labels": -100 if holes and i % 5 == 3 else i % 3})
    return rows


def collate(rows):
    """Pad rows to the longest one."""
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        "input_ids": [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows],
        "attention_mask": [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows],
    }
    if "labels" in rows[0]:
        batch["labels"] = [row["labels"] for row in rows]
    return {name: torch.tensor(values) for name, values in batch.items()}


class Recording(ExtTrainer):
    """Write down which rows this process sees, batch by batch."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.__dict__.setdefault("seen", []).append((inputs["input_ids"][:, 0] - 1).tolist())
        return super().training_step(model, inputs, num_items_in_batch)


def settings(folder, processes=1, **flags):
    """Give the arguments of a run of four rows a step on all processes."""
    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "disable_tqdm": True,
        "max_steps": LAST_STEP,
        "save_strategy": "steps",
        "save_steps": SAVED_STEPS[0],
        "per_device_train_batch_size": 4 // processes,
        "per_device_eval_batch_size": 3,
        "learning_rate": 1e-2,
        "seed": 7,
        "overwrite_output_dir": True,
    }
    return ExtTrainingArguments(**(defaults | flags))


def train(folder, processes=1, resume_at=None, **flags):
    """Train from the start or from a saved step; give (rows of each batch, all weights as one vector)."""
    model = tiny_bert()  # with dropout: a wrong random state would show
    args = settings(folder, processes, **flags)
    trainer = Recording(model, args, train_dataset=build_rows(holes=False), data_collator=collate)
    trainer.train(resume_from_checkpoint=None if resume_at is None else str(Path(folder) / f"checkpoint-{resume_at}"))
    return trainer.seen, torch.cat([p.detach().flatten() for p in model.parameters()])


def step_gradient(head, folder, processes=1, **flags):
    """Give (rows of each micro-batch of one optimizer step on this process, its gradient in float64)."""
    catch = CatchGradient()
    args = settings(folder, processes, max_steps=1, max_grad_norm=0.0, save_strategy="no", **flags)
    kwargs = {"train_dataset": build_rows(), "data_collator": collate, "callbacks": [catch]}
    trainer = Recording(build_model(head), args, **kwargs)
    trainer.train()
    return trainer.seen, catch.gradients


def true_gradient(head, numbers):
    """Give the gradient of the mean loss over all labelled rows of some, without any trainer."""
    model, rows = build_model(head), build_rows()
    model(**collate([rows[i] for i in numbers])).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def predict(folder, **flags):
    """Give the predictions and labels of every row, its evaluation loss, and what the metric was given."""
    given = {}

    def metric(prediction):
        given.update(predictions=prediction.predictions, labels=prediction.label_ids, inputs=prediction.inputs)
        return {"rows": len(prediction.label_ids)}

    args = settings(folder, include_for_metrics=["inputs", "loss"], **flags)
    trainer = ExtTrainer(tiny_bert(), args, eval_dataset=build_rows(), data_collator=collate, compute_metrics=metric)
    loss = trainer.evaluate()["eval_loss"]
    output = trainer.predict(build_rows())
    return {"loss": loss, "predictions": output.predictions, "labels": output.label_ids, "given": given}


def reference_logits():
    """Give the logits of every row, each computed by itself."""
    model = tiny_bert().eval()
    with torch.no_grad():
        return np.concatenate(
            [model(**{k: v for k, v in collate([row]).items() if k != "labels"}).logits.numpy() for row in build_rows()]
        )


def main(folder):
    """Train, resume, predict on two processes, and let every process write what it found."""
    torch.set_num_threads(1)
    rank, folder = int(os.environ["RANK"]), Path(folder)
    found = {}
    for name, flags in STRATEGIES.items():
        seen, weights = train(folder / name, processes=2, **flags)
        resumed, others = train(folder / name, processes=2, resume_at=SAVED_STEPS[1], **flags)
        found[name] = {"seen": seen, "resumed": resumed, "equal": torch.equal(weights, others)}
    gradients = {}
    for name, flags in {"budget": STRATEGIES["budget"], "pack": {"length_strategy": "pack"}}.items():
        found[f"{name} step"], gradients[name] = step_gradient(
            "stock", folder, 2, gradient_accumulation_steps=2, **flags
        )
    output = predict(folder)
    found["packed"] = predict(folder, length_strategy="pack")["predictions"].tolist()
    found["loss"] = output["loss"]
    for name in ("predictions", "labels"):
        found[name] = output[name].tolist()
    (folder / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    if rank == 0:
        for name, values in gradients.items():
            save_file(values, folder / f"{name}.safetensors")
    torch.distributed.destroy_process_group()
