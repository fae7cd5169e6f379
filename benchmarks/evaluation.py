"""What evaluating costs beside the model: time and memory, as the split grows.

Batches are made up (no model runs) and go through what Trainer does with them: gathered in its own container and scored
at the end, or counted batch by batch. Each measurement is a forked process, so that peaks of memory are its own.

    python benchmarks/evaluation.py                    # a tagger, and a classifier of 77 labels
    python benchmarks/evaluation.py --task tagger      # one of them
    python benchmarks/evaluation.py --small            # a sixteenth of the rows, once
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interleave import run_alone, write_json
from tables import Table, print_tables
from transformers import EvalPrediction
from transformers.trainer_pt_utils import EvalLoopContainer

from hf_ext.evaluation.answers import Answers, answer_batch
from hf_ext.evaluation.classification_metric import ClassificationMetric
from hf_ext.evaluation.decisions import softmax
from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.metrics import score
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.schema import SINGLE_LABEL
from hf_ext.models.tag_schemes import convert_tags
from hf_ext.models.tagging_schema import TaggingSchema

BATCH, WORDS, LABELS = 32, 256, 77
TYPES = [f"T{i}" for i in range(15)]
TAGS = ("O", *(f"{letter}-{type_}" for type_ in TYPES for letter in "BI"))  # K = 31
SCHEMA = TaggingSchema(TAGS, "BIO")
POOL = 8  # different batches; they are used again and again
ENOUGH, MOST_RUNS = 1.0, 5  # seconds that a measurement takes at least, if it has not run so often before
Batches = list[tuple[torch.Tensor, torch.Tensor]]
Figures = dict[str, float]


@dataclass(frozen=True)
class Task:
    """What is evaluated: made-up batches, the ways to do it, and how many rows there are."""

    title: str
    sizes: Sequence[int]
    make: Callable[[], Batches]
    arms: dict[str, Callable[[Batches, int], Figures]]
    figure: str  # on which all arms must agree


def make_tags() -> Batches:
    """Make a pool of batches: logits ``(B, T, K)``, of which nine in ten are right, and legal labels ``(B, T)``."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    batches = []
    for _ in range(POOL):
        drawn = np.where(random.random((BATCH, WORDS)) < 0.7, 0, random.integers(0, len(TAGS), (BATCH, WORDS)))
        legal = [convert_tags([TAGS[i] for i in row], "BIO", "BIO") for row in drawn]
        labels = torch.tensor([[TAGS.index(tag) for tag in row] for row in legal])
        right = torch.where(torch.rand(labels.shape) < 0.9, labels, torch.randint(len(TAGS), labels.shape))
        logits = torch.randn(*labels.shape, len(TAGS)).scatter_(-1, right[..., None], 9.0)
        batches.append((logits, labels))
    return batches


def gather_tags(batches: Batches, number: int, shrink: Callable[[torch.Tensor], torch.Tensor]) -> Figures:
    """Do as Trainer by default: join each batch to those before it; score at the end."""
    predictions, labels, losses = (EvalLoopContainer(True, padding_index=-100) for _ in range(3))
    for i in range(number):
        logits, truth = batches[i % POOL]
        losses.add(torch.zeros(1).repeat(BATCH))
        predictions.add(shrink(logits))
        labels.add(truth)
    found, truth = predictions.get_arrays(), labels.get_arrays()
    losses.get_arrays()
    tags = found.argmax(-1) if found.ndim == 3 else found
    counts = EntityCounts(SCHEMA.scheme, SCHEMA.tags)
    counts.add_ids(truth.ravel(), tags.ravel(), np.repeat(np.arange(len(tags)), tags.shape[1]))
    return counts.scores()


def stream_tags(batches: Batches, number: int, shrink: Callable[[torch.Tensor], torch.Tensor]) -> Figures:
    """Do as Trainer with ``batch_eval_metrics``: count each batch and drop it; losses are joined all the same."""
    metric, losses = TaggingMetric(SCHEMA, np.arange(number * BATCH)), EvalLoopContainer(True, padding_index=-100)
    result: Figures = {}
    for i in range(number):
        logits, truth = batches[i % POOL]
        losses.add(torch.zeros(1).repeat(BATCH))
        result = metric(EvalPrediction(shrink(logits), truth), compute_result=i == number - 1)
    losses.get_arrays()
    return result


def largest(logits: torch.Tensor) -> torch.Tensor:
    """Take the best tag of each word, as a tagger of ours does inside of its forward pass."""
    return logits.argmax(-1)


def make_classes() -> Batches:
    """Make a pool of batches: logits ``(B, L)``, of which most are right, and labels ``(B,)``."""
    torch.manual_seed(0)
    batches = []
    for _ in range(16 * POOL):
        truth = torch.randint(LABELS, (BATCH,))
        logits = torch.randn(BATCH, LABELS).scatter_add_(1, truth[:, None], torch.full((BATCH, 1), 3.0))
        batches.append((logits, truth))
    return batches


def gather_classes(batches: Batches, number: int) -> Figures:
    """Do as Trainer by default: join each batch to those before it; score at the end."""
    predictions, labels, losses = (EvalLoopContainer(True, padding_index=-100) for _ in range(3))
    for i in range(number):
        logits, truth = batches[i % len(batches)]
        losses.add(torch.zeros(1).repeat(BATCH))
        predictions.add(logits)
        labels.add(truth)
    losses.get_arrays()
    return score(SINGLE_LABEL, predictions.get_arrays(), labels.get_arrays())


def stream_classes(batches: Batches, number: int, *, ranking: bool) -> Figures:
    """Do as ExtTrainer: count each batch; losses are appended."""
    metric, losses = ClassificationMetric(SINGLE_LABEL, ranking=ranking), EvalLoopContainer(False)
    result: Figures = {}
    for i in range(number):
        logits, truth = batches[i % len(batches)]
        losses.add(torch.zeros(1).repeat(BATCH))
        result = metric(EvalPrediction(logits, truth), compute_result=i == number - 1)
    np.concatenate(losses.get_arrays())
    return result


def predict_logits(batches: Batches, number: int) -> Figures:
    """Do as the official script: all logits, joined batch by batch, to probabilities."""
    predictions = EvalLoopContainer(True, padding_index=-100)
    for i in range(number):
        predictions.add(batches[i % len(batches)][0])
    return _accuracy(softmax(predictions.get_arrays()).argmax(-1), batches)


def predict_answers(batches: Batches, number: int) -> Figures:
    """Do as run_classification.py without labels: answers and half-precision probabilities, appended."""
    predictions = EvalLoopContainer(False)
    for i in range(number):
        predictions.add(answer_batch(batches[i % len(batches)][0], SINGLE_LABEL))
    return _accuracy(Answers.from_batches(predictions.get_arrays()).decisions, batches)


def _accuracy(decisions: np.ndarray, batches: Batches) -> Figures:
    labels = np.resize(np.concatenate([truth.numpy() for _, truth in batches]), len(decisions))
    return {"accuracy": float((decisions == labels).mean())}


TAGGER = Task(
    f"N sentences of {WORDS} words, {len(TAGS)} tags, {BATCH} a batch",
    (4096, 16384),
    make_tags,
    {
        "logits gathered": partial(gather_tags, shrink=lambda logits: logits),
        "argmax gathered": partial(gather_tags, shrink=largest),
        "logits streamed": partial(stream_tags, shrink=lambda logits: logits),
        "tags streamed": partial(stream_tags, shrink=largest),
    },
    "f1",
)
CLASSIFIER = Task(
    f"N texts, {LABELS} labels, {BATCH} a batch",
    (4096, 16384),
    make_classes,
    {
        "logits gathered": gather_classes,
        "streamed": partial(stream_classes, ranking=True),
        "streamed, without roc_auc": partial(stream_classes, ranking=False),
        "prediction: logits gathered": predict_logits,
        "prediction: answers appended": predict_answers,
    },
    "accuracy",
)
TASKS: dict[str, Task] = {"tagger": TAGGER, "classifier": CLASSIFIER}


def measure_here(name: str, arm: str, rows: int) -> dict[str, Any]:
    """Measure one arm of a task in this process: its seconds, how far memory rises to its peak (bytes), the figure.

    Seconds are those of the processor, which other programs do not prolong; what is over soon is run again, and the
    median counts. A few batches are evaluated before, so that what is loaded at the first call does not count.
    """
    task = TASKS[name]
    batches = task.make()
    task.arms[arm](batches, 16)
    before = _resident_bytes()
    seconds: list[float] = []
    while sum(seconds) < ENOUGH and len(seconds) < MOST_RUNS:
        start = time.process_time()
        figures = task.arms[arm](batches, rows // BATCH)
        seconds.append(time.process_time() - start)
    growth = max(_peak_bytes() - before, 0)
    return {"seconds": statistics.median(seconds), "growth": growth, "figure": figures[task.figure]}


def measure(name: str, sizes: Sequence[int], repetitions: int) -> dict[str, Figures]:
    """Measure every arm of a task at every size, the arms in turn; give medians by ``arm, size``."""
    runs: dict[str, list[dict[str, Any]]] = {}
    arms = list(TASKS[name].arms)
    for repetition in range(repetitions):
        for size in sizes:
            first = repetition % len(arms)
            for arm in arms[first:] + arms[:first]:
                runs.setdefault(f"{arm}, {size}", []).append(run_alone(measure_here, name, arm, size))
    medians = {
        key: {column: statistics.median(row[column] for row in rows) for column in rows[0]}
        for key, rows in runs.items()
    }
    for size in sizes:
        figures = [medians[f"{arm}, {size}"]["figure"] for arm in arms]
        if max(figures) - min(figures) > 1e-12:
            raise RuntimeError(f"{name}: the arms do not agree at {size} rows: {figures}.")
    return medians


def main() -> None:
    """Read the flags, measure, print Markdown, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), help="one of them; all if unset")
    parser.add_argument("--small", action="store_true", help="a sixteenth of the rows, once")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    results, tables = {}, []
    for name in [args.task] if args.task else TASKS:
        sizes = [size // 16 if args.small else size for size in TASKS[name].sizes]
        results[name] = measure(name, sizes, 1 if args.small else args.repetitions)
        tables.append(tabulate(TASKS[name], results[name], sizes))
        print_tables(tables[-1:])
    write_json(args.output, {"batch": BATCH, "medians": results}, tables=tables)


def tabulate(task: Task, found: dict[str, Figures], sizes: Sequence[int]) -> Table:
    """Lay out seconds by size, what they grow by, and the memory at the largest; predictions against predictions."""
    smallest, largest_size = sizes[0], sizes[-1]
    rows = []
    for arm in task.arms:
        group = arm.rpartition(": ")[0]
        slowest = next(other for other in task.arms if other.rpartition(": ")[0] == group)
        seconds = [found[f"{arm}, {size}"]["seconds"] for size in sizes]
        speed = found[f"{slowest}, {largest_size}"]["seconds"] / seconds[-1]
        growth = f"{found[f'{arm}, {largest_size}']['growth'] / 1e6:.0f}"
        rows.append((arm, *seconds, seconds[-1] / seconds[0], speed, growth))
    columns = ["arm", *(f"N = {size:,}: s" for size in sizes)]
    columns += [f"largest / smallest ({largest_size // smallest} is linear)", "times the speed of logits gathered"]
    return Table(task.title, [*columns, "growth in MB"], rows)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _resident_bytes() -> int:
    """Tell what is resident now; where the system does not say, the peak so far."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() if pages.exists() else _peak_bytes()


if __name__ == "__main__":
    main()
