"""What it costs to turn texts and table columns into features: row by row while training, or beforehand in batches.

Texts of random characters with the lengths of real ones, two categories, two numbers and a label, as JSON lines.

- ``per row``: the usual data set whose ``__getitem__`` tokenises a text, pads it to 512 tokens and calls four
  transforms of scikit-learn (two one-hot encoders, two scalers). It pays that in every epoch.
- ``map, row by row``: our encoder called by ``datasets.map`` for a row at a time.
- ``ours``: ``ClassificationData.tokenize``, in batches, written to a file that later epochs and runs read.
- ``ours, streamed``: one epoch of the same rows with ``--streaming``: read, tokenised, shuffled in the buffer.
- ``ours, from the file``: reading, checks and fitting included, so that it can be compared with the stream.

Times are those of the processor.

    python benchmarks/preprocessing.py --output outputs/preprocessing.json
    python benchmarks/preprocessing.py --small                               # few titles, one repetition
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from interleave import interleave, ratios, report, write_json
from padding import LONGEST, TEXTS, draw_lengths
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables import Table, place_side_by_side, print_tables
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.features import FeatureEncoder
from hf_ext.tokenization import build_tokenizer

CHARACTERS = range(0x4E00, 0x4E00 + 5000)
PER_ROW, OURS, STREAMED, FROM_FILE = "per row", "ours", "ours, streamed", "ours, from the file"
ASKED_OF_OURS, ASKED_OF_STREAM = 12, 0.9
CATEGORIES, NUMBERS = {"category": 12, "source": 30}, ("paragraphs", "words")
Row = dict[str, Any]


class PerRow(Dataset):
    """Texts as features the moment that a row is asked for, as in many a notebook.

    Args:
        rows: Text, two categories, two numbers and a label.
        tokenizer: What tokenises.
    """

    def __init__(self, rows: list[Row], tokenizer: PreTrainedTokenizerBase) -> None:
        self.rows, self.tokenizer = rows, tokenizer
        self.transforms: dict[str, Any] = {}
        for names, kind in ((CATEGORIES, OneHotEncoder), (NUMBERS, StandardScaler)):
            for name in names:
                self.transforms[name] = kind().fit([[row[name]] for row in rows])
        self.labels = sorted({row["label"] for row in rows})

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        """Encode a row."""
        row = self.rows[index]
        encoded = self.tokenizer(
            row["text"], max_length=LONGEST, truncation=True, padding="max_length", return_tensors="pt"
        )
        features: Row = {name: values[0] for name, values in encoded.items()}
        for name, transform in self.transforms.items():
            cell = transform.transform([[row[name]]])
            features[name] = (cell.toarray() if name in CATEGORIES else cell)[0]
        return features | {"label": self.labels.index(row["label"])}


def make_rows(kind: str, number: int) -> list[Row]:
    """Make up rows."""
    random = np.random.default_rng(0)
    lengths = np.maximum(draw_lengths(TEXTS[kind], number) - 2, 1)  # without [CLS] and [SEP]
    texts = ["".join(map(chr, random.choice(CHARACTERS, length))) for length in lengths]
    return [
        {
            "text": text,
            **{name: f"{name} {random.integers(size)}" for name, size in CATEGORIES.items()},
            "paragraphs": int(random.integers(1, 30)),
            "words": len(text),
            "label": "abc"[i % 3],
        }
        for i, text in enumerate(texts)
    ]


def load(file: Path, *, streaming: bool) -> ClassificationData:
    """Read and check the file as ``run_classification.py`` does."""
    arguments = DataArguments(
        train_file=str(file),
        text_column_names="text",
        label_column_name="label",
        categorical_columns=",".join(CATEGORIES),
        numeric_columns=",".join(NUMBERS),
        max_seq_length=LONGEST,
        streaming=streaming,
    )
    return ClassificationData.from_arguments(arguments, saved=None, needs=("train",))


def build_arms(
    rows: list[Row], tokenizer: PreTrainedTokenizerBase, folder: Path, *, fixed: int
) -> dict[str, tuple[Callable[[], object], int]]:
    """Give the arms, and the rows that each turns into features; the slow ones see ``fixed`` rows."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    per_row = PerRow(rows, tokenizer)
    whole, stream = load(file, streaming=False), load(file, streaming=True)
    train = whole.splits["train"]
    encoder = FeatureEncoder(tokenizer, whole.schema, LONGEST, train.reader)
    few = train.rows.select(range(fixed))
    streamed = stream.tokenize(tokenizer, cache_dir=folder)["train"]

    def encode_one(row: Row) -> Row:
        return {name: values[0] for name, values in encoder({name: [cell] for name, cell in row.items()}).items()}

    def tokenise(data: ClassificationData) -> object:
        return data.tokenize(tokenizer, cache_dir=folder / "cache", overwrite=True)

    return {
        PER_ROW: (lambda: [per_row[i] for i in range(fixed)], fixed),
        "map, row by row": (
            lambda: few.map(encode_one, remove_columns=few.column_names, load_from_cache_file=False),
            fixed,
        ),
        OURS: (lambda: tokenise(whole), len(rows)),
        STREAMED: (lambda: sum(1 for _ in streamed), len(rows)),
        FROM_FILE: (lambda: tokenise(load(file, streaming=False)), len(rows)),
    }


def measure(kind: str, *, number: int, fixed: int, repetitions: int) -> dict[str, dict[str, float]]:
    """Time the arms in turn.

    Returns:
        By arm what ``report`` gives, in seconds a row, with rows a second and how many times faster than ``per row``
        it is; the stream also with its speed over ``ours`` and ``ours, from the file``.
    """
    tokenizer = build_tokenizer(["".join(map(chr, CHARACTERS))], level="character", min_count=1)
    with tempfile.TemporaryDirectory() as folder:
        arms = build_arms(make_rows(kind, number), tokenizer, Path(folder), fixed=fixed)
        passes = {name: run for name, (run, _) in arms.items()}
        seconds = interleave(passes, repetitions, warmup=1, clock=time.process_time)
    by_row = {name: [value / arms[name][1] for value in values] for name, values in seconds.items()}
    table = report(by_row, baseline=PER_ROW, title=f"\n{kind}")
    for figures in table.values():
        figures |= {"rows_a_second": 1 / figures["median_s"], "faster": 1 / figures["ratio"]}
    table[STREAMED] |= {
        "to_ours": 1 / ratios(by_row, baseline=OURS)[STREAMED],
        "to_file": 1 / ratios(by_row, baseline=FROM_FILE)[STREAMED],
    }
    return table


def make_tables(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Table]:
    """Lay out rows a second and ratios by arm, and the stream against the rows in memory."""
    columns, rows = place_side_by_side(
        results,
        {
            "rows a second": lambda found: round(found["rows_a_second"]),
            f"times {PER_ROW}": lambda found: found["faster"],
        },
    )
    against = [[kind, table[STREAMED]["to_file"], table[STREAMED]["to_ours"]] for kind, table in results.items()]
    heads = ["texts", f"over {FROM_FILE} (asked: {ASKED_OF_STREAM})", f"over {OURS}, which reads no file"]
    return [
        Table(f"Rows as features (asked of {OURS}: {ASKED_OF_OURS} times {PER_ROW})", columns, rows),
        Table("Speed of an epoch of the stream", heads, against),
    ]


def main() -> None:
    """Read the flags, measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few titles, one repetition")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    number, fixed, repetitions = (1000, 60, 1) if args.small else (args.rows, 200, args.repetitions)
    results = {
        kind: measure(kind, number=number, fixed=fixed, repetitions=repetitions)
        for kind in list(TEXTS)[: 1 if args.small else None]
    }
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
