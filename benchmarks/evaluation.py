"""What evaluating a tagger costs beside the model: time and memory, as the split grows.

Batches are made up (no model runs) and go through what Trainer does with them: gathered in its own container and scored
at the end, or counted batch by batch. Each measurement is a process of its own, so that peaks of memory are its own.

    python benchmarks/evaluation.py                    # 4,000, 8,000 and 16,000 sentences of 256 words, 31 tags
    python benchmarks/evaluation.py --small            # 1,000 and 2,000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interleave import write_json
from tables import Table, print_tables
from transformers import EvalPrediction
from transformers.trainer_pt_utils import EvalLoopContainer

from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.tag_schemes import convert_tags
from hf_ext.models.tagging_schema import TaggingSchema

BATCH, WORDS = 32, 256
TYPES = [f"T{i}" for i in range(15)]
TAGS = ("O", *(f"{letter}-{type_}" for type_ in TYPES for letter in "BI"))  # K = 31
SCHEMA = TaggingSchema(TAGS, "BIO")
POOL = 8  # different batches; they are used again and again
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def make_batches() -> Batches:
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


def gather(batches: Batches, number: int, shrink: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
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


def stream(batches: Batches, number: int, shrink: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
    """Do as Trainer with ``batch_eval_metrics``: count each batch and drop it; losses are joined all the same."""
    metric, losses = TaggingMetric(SCHEMA, np.arange(number * BATCH)), EvalLoopContainer(True, padding_index=-100)
    result: dict[str, float] = {}
    for i in range(number):
        logits, truth = batches[i % POOL]
        losses.add(torch.zeros(1).repeat(BATCH))
        result = metric(EvalPrediction(shrink(logits), truth), compute_result=i == number - 1)
    losses.get_arrays()
    return result


def largest(logits: torch.Tensor) -> torch.Tensor:
    """Take the best tag of each word, as a tagger of ours does inside of its forward pass."""
    return logits.argmax(-1)


ARMS: dict[str, Callable[[Batches, int], dict[str, float]]] = {
    "logits gathered": lambda batches, number: gather(batches, number, lambda logits: logits),
    "argmax gathered": lambda batches, number: gather(batches, number, largest),
    "logits streamed": lambda batches, number: stream(batches, number, lambda logits: logits),
    "tags streamed": lambda batches, number: stream(batches, number, largest),
}


def measure_here(arm: str, sentences: int) -> dict[str, Any]:
    """Measure one arm in this process: seconds, growth of the resident memory to its peak (bytes), F1.

    A few batches are evaluated before, so that what is loaded at the first call does not count.
    """
    batches = make_batches()
    ARMS[arm](batches, 4)
    before, start = _resident_bytes(), time.perf_counter()
    scores = ARMS[arm](batches, sentences // BATCH)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "growth": max(_peak_bytes() - before, 0), "f1": scores["f1"]}


def measure(sizes: list[int], repetitions: int) -> dict[str, dict[str, float]]:
    """Measure every arm at every size, the arms in turn; give medians by ``arm, size``."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for repetition in range(repetitions):
        for size in sizes:
            names = list(ARMS)[repetition % len(ARMS) :] + list(ARMS)[: repetition % len(ARMS)]
            for arm in names:
                command = [sys.executable, __file__, "--arm", arm, "--sentences", str(size)]
                environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
                found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                runs.setdefault(f"{arm}, {size}", []).append(json.loads(found.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in runs.items()
    }
    f1 = {size: {medians[f"{arm}, {size}"]["f1"] for arm in ARMS} for size in sizes}
    if any(len(values) > 1 for values in f1.values()):
        raise RuntimeError(f"the arms do not agree: {f1}.")
    return medians


def main() -> None:
    """Read the flags, measure, print Markdown, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="1,000 and 2,000 sentences")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", help="JSON file")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--sentences", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(measure_here(args.arm, args.sentences)))
        return
    sizes = [1024, 2048] if args.small else [4096, 8192, 16384]
    found = measure(sizes, args.repetitions)
    tables = [tabulate(found, sizes)]
    print_tables(tables)
    results = {"batch": BATCH, "words": WORDS, "tags": len(TAGS), "medians": found}
    write_json(args.output, results, tables=tables)


def tabulate(found: dict[str, dict[str, float]], sizes: list[int]) -> Table:
    """Lay out seconds by size, what they grow by, and the memory at the largest."""
    smallest, largest = sizes[0], sizes[-1]
    slowest = found[f"logits gathered, {largest}"]["seconds"]
    rows = []
    for arm in ARMS:
        seconds = [found[f"{arm}, {size}"]["seconds"] for size in sizes]
        growth = f"{found[f'{arm}, {largest}']['growth'] / 1e6:.0f}"
        rows.append((arm, *seconds, seconds[-1] / seconds[0], slowest / seconds[-1], growth))
    columns = ["arm", *(f"N = {size:,}: s" for size in sizes), f"largest / smallest ({largest // smallest} is linear)"]
    columns += ["times the speed of the first (asked 20)", "growth in MB (asked 30)"]
    return Table(f"N sentences of {WORDS} words, {len(TAGS)} tags, {BATCH} a batch", columns, rows)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _resident_bytes() -> int:
    """Tell what is resident now; where the system does not say, the peak so far."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() if pages.exists() else _peak_bytes()


if __name__ == "__main__":
    main()
