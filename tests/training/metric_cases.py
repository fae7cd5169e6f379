"""Classifiers evaluated and predicted with by each process; ``main`` runs in two processes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from classification_reference import REFERENCES
from loss_scale_cases import SIZES
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, Trainer

from hf_ext.evaluation.classification_metric import ClassificationMetric
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training import ExtTrainer, ExtTrainingArguments

TASKS = {
    "two labels": (SINGLE_LABEL, 2),
    "many labels": (SINGLE_LABEL, 5),
    "multi label": (MULTI_LABEL, 3),
    "regression": (REGRESSION, 1),
}
COUNTS = (1, 5, 8, 27)
CASES = [(task, count) for task in TASKS for count in COUNTS]


def build_model(task):
    torch.manual_seed(3)
    kind, width = TASKS[task]
    config = BertConfig(**SIZES, num_labels=width, problem_type=kind, initializer_range=0.5)
    return BertForSequenceClassification(config).double()  # in which padding changes no digit that is compared


def build_rows(task, count):
    """Give rows of many lengths; every seventh has no label, where the task knows such rows."""
    kind, width = TASKS[task]
    generator = torch.Generator().manual_seed(5)
    rows = []
    for i in range(count):
        tokens = torch.randint(1, 40, (2 + i * 5 % 11,), generator=generator).tolist()
        label = i % width if kind == SINGLE_LABEL else 0.3 * (i % 9)
        label = [float((i >> j) % 2) for j in range(width)] if kind == MULTI_LABEL else label
        rows.append({"input_ids": tokens, "labels": -100 if kind == SINGLE_LABEL and i % 7 == 6 else label})
    return rows


def collate(rows):
    """Pad rows to the longest one."""
    longest = max(len(row["input_ids"]) for row in rows)
    tokens = torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows])
    labels = torch.tensor(np.array([row["labels"] for row in rows]))  # numpy keeps float64
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long(), "labels": labels}


def build_trainer(task, count, *, trainer=ExtTrainer, **kwargs):
    flags = kwargs.pop("flags", {})
    args = ExtTrainingArguments(
        output_dir=tempfile.mkdtemp(), use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=4, **flags
    )
    rows = build_rows(task, count)
    return trainer(build_model(task), args, eval_dataset=rows, data_collator=collate, **kwargs)


def true_figures(task, count):
    """Score each row computed by itself, by scikit-learn."""
    model, rows = build_model(task).eval(), build_rows(task, count)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([row["input_ids"]])).logits for row in rows]
    labels = np.array([row["labels"] for row in rows])
    return REFERENCES[TASKS[task][0]](torch.cat(logits).numpy(), labels)


def figures_of(task, count, **flags):
    """Evaluate with our metric; give its figures and the loss."""
    metric = ClassificationMetric(TASKS[task][0])
    found = build_trainer(task, count, compute_metrics=metric, flags=flags).evaluate()
    other = ("runtime", "per_second", "preparation_time", "epoch")
    return {name.removeprefix("eval_"): value for name, value in found.items() if not name.endswith(other)}


def gathered_sizes(task, count, **kwargs):
    """Count the numbers, by batch, that this process hands to others while it evaluates."""
    sizes = {"batch": [], "end": []}
    trainer = build_trainer(task, count, **kwargs)
    accelerator, by_batch, at_once = trainer.accelerator, trainer.gather_function, trainer.accelerator.gather

    def count_numbers(values):
        if isinstance(values, Tensor):
            return values.numel()
        return sum(map(count_numbers, values)) if isinstance(values, tuple | list) else 0

    def watch_batch(values, **options):
        sizes["batch"].append(count_numbers(values))
        return by_batch(values, **options)

    def watch_end(values):
        sizes["end"].append(count_numbers(values))
        return at_once(values)

    trainer.gather_function, accelerator.gather = watch_batch, watch_end
    trainer.evaluate()
    return sizes


def order_of(trainer, **flags):
    """Give the numbers of the rows, as their only label tells them, in the order of an evaluation and a prediction."""
    seen = {}

    def metric(prediction):
        seen["evaluate"] = (np.asarray(prediction.label_ids) / 0.3).round().astype(int).tolist()
        seen["rows"] = (np.asarray(prediction.inputs) > 0).sum(1).tolist()
        return {}

    flags = {"include_for_metrics": ["inputs"], **flags}
    ready = build_trainer("regression", 27, trainer=trainer, compute_metrics=metric, flags=flags)
    ready.evaluate()
    lengths = list(seen["rows"])
    ready.compute_metrics = None
    predicted = ready.predict(build_rows("regression", 27))
    return {"evaluate": lengths, "predict": predicted.predictions.reshape(-1).tolist()}


def main(path):
    """Evaluate every case on all processes and let the first write what came out."""
    found = {f"{task}/{count}": figures_of(task, count) for task, count in CASES}
    found["gathered"] = {
        str(count): gathered_sizes(
            "many labels", count, compute_metrics=ClassificationMetric(SINGLE_LABEL, ranking=False)
        )
        for count in (24, 240)
    }
    found["user"] = gathered_sizes("many labels", 24, compute_metrics=lambda prediction: {})
    grouped = {"train_sampling_strategy": "group_by_length"}
    found["order"] = {"ours": order_of(ExtTrainer, **grouped), "stock": order_of(Trainer, **grouped)}
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()
