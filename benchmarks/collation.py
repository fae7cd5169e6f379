"""What making a batch of stored rows costs: ours against ``DataCollatorWithPadding``.

The rows lie on the disk as preparation leaves them: tokens whose number follows that of real texts, two categories, two
numbers and a label. Each arm fetches rows drawn by chance and makes their batch, as a data loader does. All arms give
the same tensors, which is checked before. Times are those of the processor.

    python benchmarks/collation.py --output outputs/collation.json
    python benchmarks/collation.py --small                           # titles alone, few batches
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
import torch
from interleave import interleave, report, write_json
from padding import LONGEST, TEXTS, VOCABULARY, draw_lengths
from tables import Table, place_side_by_side, print_tables
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training.batching.table_rows import hand_out_tables

ROWS, BATCH = 8192, 32
BASELINE, OURS = "DataCollatorWithPadding", "ours, a table"
ASKED_RATIO, ASKED_MS = 4, 1.0
Batches = list[list[int]]


def store_rows(kind: str, folder: Path) -> datasets.Dataset:
    """Write rows to a file, a thousand at a time, with the types that preparation gives them."""
    random = np.random.default_rng(1)
    lengths = draw_lengths(TEXTS[kind], ROWS)
    rows = {
        "input_ids": [random.integers(5, VOCABULARY, n).tolist() for n in lengths],
        "token_type_ids": [[0] * n for n in lengths],
        "attention_mask": [[1] * n for n in lengths],
        "category_ids": random.integers(0, 12, (ROWS, 2)).tolist(),
        "numeric_values": random.normal(size=(ROWS, 2)).tolist(),
        "labels": random.integers(0, 14, ROWS).tolist(),
    }
    types = {"input_ids": "int32", "token_type_ids": "int8", "attention_mask": "int8", "category_ids": "int64"}
    lists = {name: datasets.List(datasets.Value(kind)) for name, kind in {**types, "numeric_values": "float32"}.items()}
    return datasets.Dataset.from_dict(rows).map(
        dict,
        batched=True,
        features=datasets.Features({**lists, "labels": datasets.Value("int64")}),
        cache_file_name=str(folder / f"{kind}.arrow"),
    )


def build_arms(
    rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase
) -> Mapping[str, Callable[[Sequence[int]], Mapping[str, torch.Tensor]]]:
    """Give the arms; each makes the batch of some rows by their numbers."""
    theirs, ours = DataCollatorWithPadding(tokenizer), ClassificationCollator(tokenizer)
    tables = hand_out_tables(rows, ours)
    tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
    return {
        BASELINE: lambda numbers: theirs(rows.__getitems__(list(numbers))),
        "ours, rows": lambda numbers: ours(rows.__getitems__(list(numbers))),
        OURS: lambda numbers: ours(tables.__getitems__(numbers)),
    }


def check_equal(
    arms: Mapping[str, Callable[[Sequence[int]], Mapping[str, torch.Tensor]]], numbers: Sequence[int]
) -> None:
    """Make sure that all arms do the same work."""
    expected = arms[BASELINE](numbers)
    for name, collate in arms.items():
        for feature, values in collate(numbers).items():
            torch.testing.assert_close(values, expected[feature], rtol=0, atol=0, msg=f"{name}: {feature}")


def measure(kind: str, folder: Path, *, batches: int, repetitions: int) -> dict[str, dict[str, float]]:
    """Time every arm on the same batches; give what ``report`` gives, by batch, with the speed over the baseline."""
    tokenizer = build_tokenizer(["a text"], min_count=1, model_max_length=LONGEST)
    arms = build_arms(store_rows(kind, folder), tokenizer)
    random = np.random.default_rng(0)
    drawn: Batches = [random.choice(ROWS, BATCH, replace=False).tolist() for _ in range(batches)]
    check_equal(arms, drawn[0])

    def run(collate: Callable[[Sequence[int]], object]) -> None:
        for numbers in drawn:
            collate(numbers)

    passes: dict[str, Callable[[], object]] = {
        name: lambda collate=collate: run(collate)  # type: ignore[misc]
        for name, collate in arms.items()
    }
    seconds = interleave(passes, repetitions, warmup=1, clock=time.process_time)
    table = report(
        {name: [value / batches for value in values] for name, values in seconds.items()},
        baseline=BASELINE,
        title=f"\n{kind}, {BATCH} rows a batch",
    )
    for figures in table.values():
        figures["times_the_speed"] = 1 / figures["ratio"]
    return table


def make_tables(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Table]:
    """Lay out milliseconds and speed by arm."""
    columns, rows = place_side_by_side(
        results,
        {
            "ms a batch": lambda found: found["median_s"] * 1e3,
            "times the speed": lambda found: found["times_the_speed"],
        },
    )
    asked = f"asked of {OURS}: {ASKED_RATIO} times the speed, at most {ASKED_MS:.0f} ms"
    return [Table(f"Batches of {BATCH} rows ({asked})", columns, rows)]


def main() -> None:
    """Read the flags, measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="titles alone, few batches")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    batches, repetitions = (10, 3) if args.small else (args.batches, args.repetitions)
    with tempfile.TemporaryDirectory() as folder:
        results = {
            kind: measure(kind, Path(folder), batches=batches, repetitions=repetitions)
            for kind in list(TEXTS)[: 1 if args.small else None]
        }
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
