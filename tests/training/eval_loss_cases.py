"""Evaluations for the tests of the exact loss; ``main`` runs in two processes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import loss_scale_cases
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, Trainer

from hf_ext.training import ExtTrainer, ExtTrainingArguments

COUNTS, BATCH_SIZES = (1, 5, 8, 11), (1, 2, 4, 8)
TASKS = ("stock", "ext", "tokens", "multi_label", "regression", "function", "promising_function")
IGNORED = -100


def mean_loss(outputs, labels, num_items_in_batch=None):
    return nn.functional.cross_entropy(outputs.logits, labels)


def promising_loss(outputs, labels, num_items_in_batch):
    """Insist on the number, as many a loss function of Trainer's users does."""
    return nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


FUNCTIONS = {"function": mean_loss, "promising_function": promising_loss}


def build_model(task):
    """Build a float64 model; its dropout is off while it is evaluated."""
    if task == "ext":
        return loss_scale_cases.build_model("ext")
    torch.manual_seed(3)
    kind = {"multi_label": "multi_label_classification", "regression": "regression"}.get(task)
    config = BertConfig(**loss_scale_cases.SIZES, num_labels=1 if task == "regression" else 3, problem_type=kind)
    return (BertForTokenClassification if task == "tokens" else BertForSequenceClassification)(config).double()


def build_rows(task, count):
    """Give rows of equal length; rows 2 and 3 of the token task have no label at all, the others not all."""
    if task == "ext":
        return loss_scale_cases.build_rows("ext", count)
    generator = torch.Generator().manual_seed(4)
    rows = []
    for i in range(count):
        tokens = torch.randint(1, 40, (5,), generator=generator).tolist()
        labels = {
            "tokens": [(i + t) % 3 if t < i % 5 and i not in (2, 3) else IGNORED for t in range(5)],
            "multi_label": [float(i % 2), 1.0, float(i % 3 == 0)],
            "regression": float(IGNORED if i == 4 else 0.3 * i),  # a number like any other
        }.get(task, i % 3)
        rows.append({"input_ids": tokens, "labels": labels})
    return rows


def true_loss(task, count):
    """Give the mean over the items of each row by itself, without any trainer."""
    model, total, items = build_model(task).eval(), 0.0, 0
    for row in build_rows(task, count):
        batch = loss_scale_cases.collate([row])
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits
        if task == "multi_label":
            each = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").flatten()
        elif task == "regression":
            each = (logits.flatten() - labels) ** 2
        else:
            each = nn.functional.cross_entropy(
                logits.reshape(-1, 3), labels.flatten(), ignore_index=IGNORED, reduction="none"
            )[labels.flatten() != IGNORED]
        total, items = total + float(each.sum()), items + each.numel()
    return total / items if items else None


def evaluate(task, count, batch_size, *, trainer=ExtTrainer, predict=False, **changes):
    """Give what Trainer says of the rows: the metrics of an evaluation, or a whole prediction."""
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder, use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=batch_size, **changes
        )
        ready = trainer(
            build_model(task), args, data_collator=loss_scale_cases.collate, compute_loss_func=FUNCTIONS.get(task)
        )
        rows = build_rows(task, count)
        return ready.predict(rows) if predict else ready.evaluate(rows)


def evaluate_while_training(task, count):
    """Give the evaluation loss after a step that changed nothing, the model being wrapped for training."""
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder,
            use_cpu=True,
            disable_tqdm=True,
            max_steps=1,
            learning_rate=0.0,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="no",
            per_device_eval_batch_size=4,
        )
        rows = build_rows(task, count)
        data = {"train_dataset": rows[4:], "eval_dataset": rows, "data_collator": loss_scale_cases.collate}
        ready = ExtTrainer(build_model(task), args, **data)
        ready.train()
        return next(entry["eval_loss"] for entry in ready.state.log_history if "eval_loss" in entry)


def main(path):
    """Evaluate every case on all processes and let the first write the losses."""
    found = {}
    for task in TASKS:
        for count in COUNTS:
            for batch_size in BATCH_SIZES:
                found[f"{task}/{count}/{batch_size}"] = evaluate(task, count, batch_size)["eval_loss"]
    for task in ("ext", "tokens"):
        found[f"while training/{task}"] = evaluate_while_training(task, 11)
    found["plain/5/4"] = evaluate("tokens", 5, 4, trainer=Trainer)["eval_loss"]
    predicted = [evaluate("tokens", 11, 2, trainer=one, predict=True) for one in (Trainer, ExtTrainer)]
    found["same predictions"] = bool((predicted[0].predictions == predicted[1].predictions).all())
    found["test_loss"] = predicted[1].metrics["test_loss"]
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
