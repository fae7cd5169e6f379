"""One optimizer step and many evaluations of four tasks, on one process or on several of a group.

A step is over the same eight rows however many processes and micro-batches share them; lengths and labels are uneven.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import loss_scale_cases
import masked_head_cases
import numpy as np
import tagger_models
import torch
from loss_scale_cases import CatchGradient

from hf_ext.evaluation.metrics import SINGLE_LABEL, build_compute_metrics
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models import TaggingSchema
from hf_ext.training import ExtTrainer, ExtTrainingArguments

ROWS = 8  # of a step
ACCUMULATION = {1: (1, 2, 4), 2: (1, 2, 4), 4: (1, 2)}  # by number of processes
COUNTS, BATCH_SIZES = (1, 5, 8, 11), (1, 4)  # of evaluations
IGNORED = -100


@dataclass
class Task:
    """A model, its rows and how they become a batch.

    Args:
        build_model: Gives the same float64 weights every time, without dropout.
        build_rows: Gives the first so many rows.
        collate: Makes a batch of rows.
        build_metric: Gives the metric of so many rows.
        flags: Training arguments of the task.
    """

    build_model: Callable[[], Any]
    build_rows: Callable[[int], list[dict[str, Any]]]
    collate: Callable[[list], dict[str, Any]]
    build_metric: Callable[[int], Any] = lambda count: None
    flags: dict[str, Any] = field(default_factory=dict)


def build_text_rows(head, count):
    """Give rows of 3 to 7 tokens; those with table columns leave labels out, as a plain mean cannot."""
    rows = loss_scale_cases.build_rows(head, count)
    for i, row in enumerate(rows):
        row["input_ids"] = [1 + (7 * i + 3 * t) % 39 for t in range(3 + i % 5)]
    return rows


def pad(rows):
    """Pad on the right."""
    longest = max(len(row["input_ids"]) for row in rows)
    mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    padded = [{**row, "input_ids": row["input_ids"] + [0] * (longest - len(row["input_ids"]))} for row in rows]
    return {**loss_scale_cases.collate(padded), "attention_mask": torch.tensor(mask)}


def text_task(head):
    return Task(
        lambda: loss_scale_cases.build_model(head),
        lambda count: build_text_rows(head, count),
        pad,
        lambda count: build_compute_metrics(SINGLE_LABEL),
    )


TASKS = {
    "classification": text_task("stock"),
    "columns": text_task("ext"),
    "tags": Task(
        lambda: tagger_models.build_model("crf"),
        lambda count: tagger_models.build_rows("crf", count),
        tagger_models.collate,
        lambda count: TaggingMetric(TaggingSchema(tagger_models.TAGS, "BIO"), list(range(count))),
        {"batch_eval_metrics": True},
    ),
    "masked": Task(
        lambda: masked_head_cases.build_ours("bert", False),
        lambda count: masked_head_cases.build_rows(False, 11)[:count],
        masked_head_cases.collate,
        flags={"prediction_loss_only": True},
    ),
}


def build_trainer(task, folder, *, callbacks=(), rows=None, metric=None, **changes):
    """Build the trainer of a task."""
    settings = {"use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "max_steps": 1, "max_grad_norm": 0.0}
    args = ExtTrainingArguments(
        folder, remove_unused_columns=False, ddp_timeout=120, **{**settings, **task.flags, **changes}
    )
    return ExtTrainer(task.build_model(), args, task.collate, rows, callbacks=list(callbacks), compute_metrics=metric)


def step_gradient(name, *, processes, steps):
    """Give the gradient of one optimizer step, cut into ``steps`` micro-batches a process."""
    catch, task = CatchGradient(), TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        batch = {
            "per_device_train_batch_size": ROWS // (processes * steps),
            "gradient_accumulation_steps": steps,
        }
        build_trainer(task, folder, callbacks=[catch], rows=task.build_rows(ROWS), **batch).train()
    return catch.gradients


def true_gradient(name):
    """Give the gradient of the mean loss over all rows at once, without any trainer."""
    model = build_reference(name)
    reference_loss(name, model, ROWS).backward()
    return {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}


def gradient_error(name, *, processes, steps):
    """Give the distance of the gradient from the true one, relative to it."""
    found, expected = step_gradient(name, processes=processes, steps=steps), true_gradient(name)
    assert found.keys() == expected.keys()
    a, b = (torch.cat([each[key].flatten() for key in sorted(expected)]) for each in (found, expected))
    return float((a - b).norm() / b.norm())


def look(name, count, batch_size):
    """Evaluate and predict the first rows; give both losses and metrics, and what is predicted for each row."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(task, folder, metric=task.build_metric(count), per_device_eval_batch_size=batch_size)
        evaluated = trainer.evaluate(task.build_rows(count))
        output = trainer.predict(task.build_rows(count), metric_key_prefix="eval")
    losses = [metrics.pop("eval_loss") for metrics in (evaluated, output.metrics)]
    return {
        "losses": losses,
        "metrics": [without_timings(metrics) for metrics in (evaluated, output.metrics)],
        "decided": decide(output.predictions),
    }


def without_timings(metrics):
    timings = ("runtime", "per_second", "preparation_time", "epoch")
    return {key: value for key, value in metrics.items() if not key.endswith(timings)}


def decide(predictions):
    """Give the class of each row, or the tags of its words."""
    if predictions is None:
        return None
    scores = predictions[0] if isinstance(predictions, tuple) else predictions
    if scores.dtype.kind == "i":
        return [[int(tag) for tag in row if tag != IGNORED] for row in scores]
    return np.argmax(scores, axis=-1).tolist()


def true_loss(name, count):
    """Give the mean loss over the items of the rows, without any trainer."""
    with torch.no_grad():
        return float(reference_loss(name, build_reference(name).eval(), count))


def build_reference(name):
    """Build the model without what only training has: the masked one with its stock head."""
    if name == "masked":
        return masked_head_cases.build_masked_model("bert", dtype=torch.float64)
    return TASKS[name].build_model()


def reference_loss(name, model, count):
    """Give the mean loss over the items of the rows, all at once, of a tagger sentence by sentence."""
    rows = TASKS[name].build_rows(count)
    if name == "tags":
        return tagger_models.Objective(model, rows).loss()
    batch = TASKS[name].collate(rows)
    batch.pop("masked_positions", None)
    return model(**batch).loss


def main(folder):
    """Compute every case on all processes; each of them writes what it found."""
    torch.set_num_threads(1)
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    found = {"errors": {}, "looks": {}}
    for name in TASKS:
        for steps in ACCUMULATION[processes]:
            found["errors"][f"{name}/{steps}"] = gradient_error(name, processes=processes, steps=steps)
        for count in COUNTS:
            for size in BATCH_SIZES:
                found["looks"][f"{name}/{count}/{size}"] = look(name, count, size)
    Path(folder, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()
