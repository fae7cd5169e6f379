"""What padding costs, and what each length strategy saves of it, in training and in evaluation.

Rows are made up, with the lengths of titles and of reviews; the encoder has the shape of a MiniLM and random weights.
An arm is an epoch of ``ExtTrainer``, sampler and collator included. Arms that pad to a fixed length see fewer rows,
since every row costs them the same; all figures are by row.

    python benchmarks/padding.py --output outputs/padding.json
    python benchmarks/padding.py --small                          # a narrow encoder, few rows, one repetition
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from interleave import interleave, ratios, report, write_json
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, PrinterCallback, Trainer

from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer, ExtTrainingArguments

VOCABULARY, LONGEST = 30522, 512
SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
SMALL_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
OFFICIAL, WIDEST, BY_CHANCE = "pad 128", "pad 512", "dynamic"


class Arm(NamedTuple):
    """How batches are made: a length strategy, and a fixed length that texts are cut and padded to."""

    strategy: str = "dynamic"
    length: int | None = None
    trainer: type[Trainer] = ExtTrainer


TRAINING = {
    WIDEST: Arm(length=512),
    OFFICIAL: Arm(length=128),
    BY_CHANCE: Arm(),
    "group": Arm("group"),
    "budget": Arm("budget"),
    "pack": Arm("pack"),
}
EVALUATION = {
    WIDEST: Arm(length=512),
    OFFICIAL: Arm(length=128),
    BY_CHANCE: Arm(trainer=Trainer),  # rows as they come
    "sorted": Arm(),
    "pack": Arm("pack"),
}


def title_lengths(rows: int) -> NDArray[np.int64]:
    """Draw the lengths of titles: normal, 22 +- 6 tokens, clipped to 8..42."""
    return np.clip(np.random.default_rng(0).normal(22, 6, rows), 8, 42).astype(np.int64)


def review_lengths(rows: int) -> NDArray[np.int64]:
    """Draw the lengths of reviews: log-normal around 90 tokens with sigma 0.75, clipped to 20..302."""
    return np.clip(np.random.default_rng(0).lognormal(np.log(90), 0.75, rows), 20, 302).astype(np.int64)


TEXTS: dict[str, tuple[Callable[[int], NDArray[np.int64]], int, int]] = {  # lengths, rows, rows a batch
    "titles": (title_lengths, 512, 16),
    "reviews": (review_lengths, 256, 8),
}


def make_rows(lengths: NDArray[np.int64]) -> datasets.Dataset:
    """Make rows of random tokens with one label each."""
    random = np.random.default_rng(1)
    tokens = [random.integers(5, VOCABULARY, n).tolist() for n in lengths]
    masks = [[1] * len(row) for row in tokens]
    return datasets.Dataset.from_dict(
        {"input_ids": tokens, "attention_mask": masks, "labels": [0, 1] * (len(tokens) // 2)}
    )


def build_trainer(arm: Arm, rows: datasets.Dataset, model: Any, *, batch: int, folder: str) -> Trainer:
    """Build the trainer of one arm; texts longer than its fixed length are cut."""
    if arm.length is not None:
        rows = rows.map(
            lambda row: {name: row[name][: arm.length] for name in ("input_ids", "attention_mask")},
            load_from_cache_file=False,
        )
    args = ExtTrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=batch,
        length_strategy=arm.strategy,
        save_strategy="no",
        disable_tqdm=True,
        write_train_log=False,
        prediction_loss_only=True,
    )
    tokenizer = build_tokenizer(["a text"], min_count=1, model_max_length=LONGEST)
    collator = ClassificationCollator(tokenizer, max_length=arm.length)
    trainer = arm.trainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    return trainer


def compare(
    arms: dict[str, Arm], rows: datasets.Dataset, model: Any, *, evaluates: bool, **settings: Any
) -> dict[str, Any]:
    """Time one pass of every arm over its rows, in turn.

    Returns:
        By arm what ``report`` gives, in seconds by row, with how many times faster it is than padding to 512 tokens
        and than rows by chance, and its tokens with padding over real ones where they are counted.
    """
    repetitions, fixed, batch = settings["repetitions"], settings["fixed_rows"], settings["batch"]
    trainers, passes, counts = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arm in arms.items():
            chosen = rows.select(range(fixed)) if arm.length is not None else rows
            own = copy.deepcopy(model) if arm.strategy == "pack" else model  # its encoder stays packed
            trainers[name] = build_trainer(arm, chosen, own, batch=batch, folder=folder)
            passes[name] = trainers[name].evaluate if evaluates else trainers[name].train
            counts[name] = len(chosen)
        seconds = interleave(passes, repetitions, warmup=1)
    by_row = {name: [value / counts[name] for value in values] for name, values in seconds.items()}
    table: dict[str, Any] = report(by_row, baseline=BY_CHANCE, title="evaluation" if evaluates else "training")
    over_widest = ratios(by_row, baseline=WIDEST)
    for name, trainer in trainers.items():
        table[name] |= {"faster_than_512": 1 / over_widest[name], "faster_than_dynamic": 1 / table[name]["ratio"]}
        if isinstance(trainer, ExtTrainer):
            table[name]["padding"] = next(iter(trainer.cost.totals().values())).padding
        padding = f", {table[name]['padding']:.2f} tokens for a real one" if "padding" in table[name] else ""
        print(f"  {name}: {1 / over_widest[name]:.1f} x pad 512, {1 / table[name]['ratio']:.2f} x dynamic{padding}")
    return table


def main() -> None:
    """Read the flags, measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a narrow encoder, few rows, one repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    torch.manual_seed(0)
    shape = SMALL_SHAPE if args.small else SHAPE
    model = BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, max_position_embeddings=LONGEST, **shape))
    results: dict[str, Any] = {}
    for name, (lengths, rows, batch) in TEXTS.items():
        data = make_rows(lengths(rows // 4 if args.small else rows))
        settings = {"repetitions": 1 if args.small else args.repetitions, "fixed_rows": 2 * batch, "batch": batch}
        print(f"\n{name}: {len(data)} rows, {batch} a batch")
        results[name] = {
            "training": compare(TRAINING, data, model, evaluates=False, **settings),
            "evaluation": compare(EVALUATION, data, model, evaluates=True, **settings),
        }
    write_json(args.output, {"shape": shape, **results})


if __name__ == "__main__":
    main()
