"""What worker processes and pinned memory do to a training, and how time and memory grow with the rows.

Loading: steps of a BERT through the loader of ``ExtTrainer``, by the number of its workers. ``waiting`` is the share of
the time in which training waits for its batch, the first one aside; on a GPU that is how long it stands idle for. On a
CPU workers compete with the model for the cores, and there is no memory to pin, which speeds up copies to a GPU.

Growth: titles are prepared and trained on for an epoch, in memory and streamed, each size in a forked process; the
encoder is tiny, so that data cost the most. Linear is a throughput that stays as it is, flat a memory that does. Times
are those of the processor; memory is how far its peak rises over what was resident before.

    python benchmarks/loading.py --output outputs/loading.json
    python benchmarks/loading.py --small                          # few steps, 250 and 1,000 rows
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from collation import store_rows
from interleave import run_alone, write_json
from padding import VOCABULARY
from preprocessing import CHARACTERS, load, make_rows
from tables import Table, print_tables
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, PrinterCallback, set_seed

from hf_ext.cli.peak_memory import peak_memory
from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer, ExtTrainingArguments

BATCH, WORKERS = 32, (0, 2, 4)
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
SMALL = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 1024}
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
MODES = {"in memory": False, "streamed": True}
Figures = dict[str, float]


def build_model(labels: int, **shape: int) -> PreTrainedModel:
    """Build a classifier with random weights, the same ones every time."""
    set_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, num_labels=labels, **shape))


def build_trainer(model: PreTrainedModel, rows: Any, folder: str, **flags: Any) -> ExtTrainer:
    """Build a trainer that writes nothing."""
    args = ExtTrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=BATCH,
        save_strategy="no",
        disable_tqdm=True,
        write_train_log=False,
        **flags,
    )
    tokenizer = build_tokenizer(["".join(map(chr, CHARACTERS))], level="character", min_count=1)
    trainer = ExtTrainer(model, args, train_dataset=rows, data_collator=ClassificationCollator(tokenizer))
    trainer.remove_callback(PrinterCallback)
    return trainer


def time_steps(trainer: ExtTrainer, steps: int) -> Figures:
    """Make steps and give the seconds until the first batch, those of a step, and the share of them spent waiting."""
    model, waits = trainer.model.to(trainer.args.device).train(), []
    start = asked = time.perf_counter()
    batches = iter(trainer.get_train_dataloader())
    for _ in range(steps):
        batch = next(batches)
        waits.append(time.perf_counter() - asked)
        model(**batch).loss.backward()
        model.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        asked = time.perf_counter()
    rest = time.perf_counter() - start - waits[0]
    return {"first_s": waits[0], "step_s": rest / steps, "waiting": sum(waits[1:]) / rest}


def measure_workers(*, steps: int, repetitions: int) -> dict[str, Figures]:
    """Time steps by the number of workers, and on a GPU with and without pinned memory; the arms take turns."""
    on_gpu = torch.cuda.is_available()
    arms = [(workers, pins) for workers in WORKERS for pins in ((False, True) if on_gpu else (False,))]
    runs: dict[str, list[Figures]] = {}
    model = build_model(14, **(BASE if on_gpu else SMALL))
    with tempfile.TemporaryDirectory() as folder:
        rows = store_rows("titles", Path(folder)).remove_columns(["category_ids", "numeric_values"])
        for repetition in range(-1, repetitions):
            for workers, pins in arms:
                flags = {"dataloader_num_workers": workers, "dataloader_pin_memory": pins}
                found = time_steps(build_trainer(model, rows, folder, **flags), steps)
                if repetition >= 0:
                    name = f"{workers} workers{', pinned' if pins else ''}"
                    runs.setdefault(name, []).append(found)
    return {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }


def train_here(rows: int, streaming: bool) -> Figures:
    """Prepare and train on some rows in this process; a few are worked through before."""
    tokenizer = build_tokenizer(["".join(map(chr, CHARACTERS))], level="character", min_count=1)
    with tempfile.TemporaryDirectory() as folder:
        for number in (2 * BATCH, rows):
            file = Path(folder) / f"{number}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in make_rows("titles", number)), encoding="utf-8")
        for number in (2 * BATCH, rows):
            before, start = (peak_memory() or 0.0), time.process_time()
            data = load(Path(folder) / f"{number}.jsonl", streaming=streaming)
            features = data.tokenize(tokenizer, cache_dir=Path(folder))["train"]
            prepared = time.process_time() - start
            model = build_model(len(data.schema.labels.names), **TINY)
            build_trainer(model, features, folder, max_steps=number // BATCH).train()
            seconds = time.process_time() - start
    return {
        "rows_a_second": rows / seconds,
        "preparing_s": prepared,
        "training_s": seconds - prepared,
        "growth_mb": (peak_memory() or 0.0) - before,
    }


def measure_growth(sizes: Sequence[int]) -> dict[str, dict[int, Figures]]:
    """Train on each size, in memory and streamed, each in a forked process."""
    found: dict[str, dict[int, Figures]] = {mode: {} for mode in MODES}
    for size in sizes:
        for mode, streaming in MODES.items():
            found[mode][size] = run_alone(train_here, size, streaming)
    return found


def make_tables(workers: Mapping[str, Figures], growth: Mapping[str, Mapping[int, Figures]]) -> list[Table]:
    """Lay out steps by the number of workers, and throughput and memory by rows."""
    steps = [
        [name, found["first_s"], found["step_s"] * 1e3, f"{100 * found['waiting']:.1f} %"]
        for name, found in workers.items()
    ]
    grown = [
        [
            mode,
            f"{size:,}",
            round(found["rows_a_second"]),
            found["preparing_s"],
            found["training_s"],
            found["growth_mb"],
        ]
        for mode, sizes in growth.items()
        for size, found in sizes.items()
    ]
    kind = "BERT-base on a GPU" if torch.cuda.is_available() else "2 layers of width 256 on a CPU"
    return [
        Table(f"Loading, {BATCH} titles a batch, {kind}", ["arm", "first batch (s)", "step (ms)", "waiting"], steps),
        Table("Growth", ["rows are", "rows", "rows a second", "preparing (s)", "training (s)", "memory (MB)"], grown),
    ]


def main() -> None:
    """Read the flags, measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few steps, 250 and 1,000 rows")
    parser.add_argument("--rows", type=int, default=1000, help="the fewest; then 4 and 16 times as many")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    first, times = (250, (1, 4)) if args.small else (args.rows, (1, 4, 16))
    growth = measure_growth([first * factor for factor in times])  # first, while this process has made nothing yet
    workers = measure_workers(steps=5 if args.small else args.steps, repetitions=1 if args.small else args.repetitions)
    tables = make_tables(workers, growth)
    print_tables(tables)
    write_json(args.output, {"workers": workers, "growth": growth}, tables=tables)


if __name__ == "__main__":
    main()
